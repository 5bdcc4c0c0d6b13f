"""A result as static HTML: no script, no widget, no colours of its own, no remote image.

What an untrusted notebook keeps decides the form: `<details>` is the only tab that survives
JupyterLab's sanitiser, and styles go with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbfuse.core.analysis import Analysis
from nbfuse.core.types import Answer, FusionResult
from nbfuse.render.fields import FIELD_HEADS, as_markdown, field_rows
from nbfuse.render.findings import Finding, checks, findings, moves, unfound
from nbfuse.render.model import model_html, root, say
from nbfuse.render.table import HEADS, called, headline, rows, seconds, sureness

_WORDS = ("model", "verdict", *FIELD_HEADS)


def to_html(result: FusionResult, view: str = "") -> str:
    """The fused answer open on top, one closed `<details>` a member, and the table.

    `view` becomes part of its class, so that a live view can find its place.
    """
    fused = (
        model_html(as_markdown(result.text)) if result.text else "<p><em>no fused answer</em></p>"
    )
    why = f"<p><small>{say(result.verdict.reason)} {say(sureness(result.verdict))}</small></p>"
    title = f"<strong>Fused answer</strong> · {say(headline(result))} · {seconds(result.seconds)}"
    blocks = [
        f"<details open><summary>{title}</summary>{fused}{why}</details>",
        *(f"<p><small>{say(note)}</small></p>" for note in result.notes),
    ]
    if fields := field_rows(result):
        blocks.append(_details("Fields", _table(FIELD_HEADS, fields)))
    blocks += [_member(a, opened=result.status == "failed") for a in result.answers]
    if result.analysis is not None:
        blocks.append(_analysis(result.analysis))
    if result.positions:
        blocks.append(_details("Debate", _list([" ".join(move) for move in moves(result)])))
    if told := checks(result):
        blocks.append(_details("Checks", _list(told)))
    whole = f'<div class="{root(view)}" style="overflow-wrap:break-word">'
    return "\n".join([whole, *blocks, _table(HEADS, rows(result)), "</div>"])


def _member(answer: Answer, opened: bool) -> str:
    state = "" if answer.status == "complete" else f" · {answer.status}"
    late = "" if answer.judged else " · late, not judged"
    title = f"{say(answer.member)} · {seconds(answer.seconds)}{state}{late}"
    body = _list(list(map(called, answer.tool_calls))) if answer.tool_calls else ""
    body += model_html(as_markdown(answer.text)) if answer.text else ""
    if answer.failure is not None:
        body += f"<p><em>{say(answer.failure.message)} {say(answer.failure.hint)}</em></p>"
    return _details(title, body or "<p><em>nothing</em></p>", opened)


def _analysis(analysis: Analysis) -> str:
    body = ""
    for head, items in findings(analysis).items():
        lines = "".join(f"<li>{say(item.text)}{_voices(item)}</li>" for item in items)
        body += f"<p><strong>{head}</strong></p><ul>{lines}</ul>"
    if analysis.unfound:
        body += f"<p><small>{say(unfound(analysis))}</small></p>"
    return _details("Analysis", body or "<p><em>nothing to tell apart</em></p>")


def _voices(finding: Finding) -> str:
    lines = []
    for voice in finding.voices:
        quotes = " ".join(f"<em>“{say(quote)}”</em>" for quote in voice.quotes)
        line = f"{say(voice.member)} {say(f'says {voice.stance}') if voice.stance else ''} {quotes}"
        lines.append(f"<li>{line.strip()}</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col"{_style(name)}>{name}</th>' for name in heads)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_style(n)}>{say(c)}</td>" for n, c in zip(heads, row, strict=True))
        + "</tr>"
        for row in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _style(column: str) -> str:
    """Words to the left and figures unbroken; a sanitiser that drops this does no harm."""
    return ' style="text-align:left"' if column in _WORDS else ' style="white-space:nowrap"'


def _details(title: str, body: str, opened: bool = False) -> str:
    return f"<details{' open' * opened}><summary>{title}</summary>{body}</details>"


def _list(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{say(item)}</li>' for item in items)}</ul>"
