"""An evaluation as static HTML for a notebook: sentence, tables, plot, and what fusing broke.

No script, no style sheet and no colour of its own, as in `nbfuse.render.html`; the plot is a
picture on white, since a saved notebook keeps no SVG.
"""

from __future__ import annotations

from html import escape

from nbfuse.core.clean import clean
from nbfuse.evaluation.evaluation import Evaluation
from nbfuse.evaluation.plot import described, plot
from nbfuse.evaluation.questions import Question, digest
from nbfuse.evaluation.report import HEADS, WORDS, facts, row, title
from nbfuse.evaluation.results import FUSED, PoolReport
from nbfuse.render.model import root, say

MOST_SHOWN, LONGEST_TEXT = 20, 300  # questions that fusing broke; characters of a text


def to_html(evaluation: Evaluation) -> str:
    """The report, the sentence on top."""
    blocks = [f"<p><strong>{say(evaluation.sentence)}.</strong></p>"]
    blocks += [f"<p><small>{say(note)}</small></p>" for note in evaluation.notes]
    for report in evaluation.pools:
        blocks.append(f"<p>{say(title(report))}</p>")
        blocks += [_table(report), _picture(report)]
        lines = "".join(f"<li>{say(fact)}</li>" for fact in facts(report))
        blocks.append(f"<ul>{lines}</ul>")
        blocks.append(_changed(evaluation, report, report.broken, "from right to wrong"))
        blocks.append(_changed(evaluation, report, report.mended, "from wrong to right"))
    whole = f'<div class="{root("")}" style="overflow-wrap:break-word">'
    return "\n".join([whole, *filter(None, blocks), "</div>"])


def _table(report: PoolReport) -> str:
    def style(column: str) -> str:
        left = ";text-align:left" if column in WORDS else ""
        return f' style="white-space:nowrap{left}"'

    head = "".join(f'<th scope="col"{style(name)}>{name}</th>' for name in HEADS)
    body = "".join(
        "<tr>"
        + "".join(f"<td{style(n)}>{say(c)}</td>" for n, c in zip(HEADS, row(arm), strict=True))
        + "</tr>"
        for arm in report.arms
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div style="overflow-x:auto">{table}</div>'  # figures don't wrap


def _picture(report: PoolReport) -> str:
    picture = plot(report)
    if picture is None:
        return "<p><small>For a plot: pip install 'nbfuse[evaluate]'</small></p>"
    words = escape(clean(described(report)), quote=True)
    return (
        f'<p><img alt="{words}" style="max-width:100%" src="data:image/png;base64,{picture}"></p>'
    )


def _changed(evaluation: Evaluation, report: PoolReport, ids: tuple[str, ...], how: str) -> str:
    """The questions that fusing changed, with both answers."""
    if not ids:
        return ""
    asked = {question.id: question for question in evaluation.questions}
    said = {(o.question, o.arm): o for o in evaluation.outcomes if o.pool == report.pool}
    items = []
    for name in ids[:MOST_SHOWN]:
        single, fused = said[name, report.best], said[name, FUSED]
        reference = (
            f" (reference: {_short(asked[name].reference)})" if asked[name].reference else ""
        )
        items.append(
            f"<li>{_called(asked[name])}{_short(asked[name].text)}{reference}"
            f"<ul><li>{say(single.by)} alone: {_short(single.text)}</li>"
            f"<li>fused, by {say(fused.by)}: {_short(fused.text)}</li></ul></li>"
        )
    rest = len(ids) - len(items)
    more = f"<p><small>and {rest} more</small></p>" if rest else ""
    head = f"{len(ids)} question{'s' * (len(ids) != 1)} turned {how}"
    return f"<details><summary>{head}</summary><ul>{''.join(items)}</ul>{more}</details>"


def _called(question: Question) -> str:
    """The id that its table gives a question; a hash of its text would only be in the way."""
    return "" if question.id == digest(question.text) else f"{say(question.id)}: "


def _short(text: str) -> str:
    flat = " ".join(clean(text).split())
    return say(flat if len(flat) <= LONGEST_TEXT else f"{flat[:LONGEST_TEXT]} …")
