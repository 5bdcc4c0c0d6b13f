"""A result as static HTML: no script, no widget, no colours of its own, no remote image.

What an untrusted notebook keeps decides the form: `<details>` is the only tab that survives
JupyterLab's sanitiser, and styles go with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from nbfuse.core.clean import clean
from nbfuse.core.types import Analysis, Answer, FusionResult
from nbfuse.render.markdown import MOST_BRACKETS
from nbfuse.render.mathematics import mathematics
from nbfuse.render.table import HEADS, called, headline, rows, seconds, sureness

_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "del", "code", "pre", "blockquote", "a"),
    *("span", "ul", "ol", "li", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
_WORDS = ("model", "verdict")
_HEADING_SHIFT = 3  # an answer's "#" must not outrank the notebook's own headings


def _render_text(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    return _say(tokens[i].content)


def _render_image(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    """A link in place of an image: a remote image would tell its server who reads."""
    source, words = str(tokens[i].attrs["src"]), tokens[i].content or "image"
    return f'<a href="{escape(source)}">{_say(words)}</a>'


@cache
def _markdown(links: bool) -> MarkdownIt:
    # as in a chat, a line of a model is a line, although Markdown would run them together
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True})
    reader.enable(["table", "strikethrough"])
    reader.disable("reference")  # it would take "[answer]: 42" away as a footnote for nobody
    if not links:
        reader.disable(["link", "image"])
    mathematics(reader)
    reader.add_render_rule("text", _render_text)
    reader.add_render_rule("image", _render_image)
    return reader


def model_html(text: str) -> str:
    """A model's Markdown as HTML that can't do anything but be read."""
    text = clean(text)
    reader = _markdown(links=text.count("[") <= MOST_BRACKETS)
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _HEADING_SHIFT)}"
        links = 0
        for child in token.children or ():
            links += child.nesting if child.type in ("link_open", "link_close") else 0
            if links and child.type == "image":  # a link can't hold another
                child.type = "text"
    html = reader.renderer.render(tokens, reader.options, {})
    return nh3.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES)


def to_html(result: FusionResult) -> str:
    """The fused answer open on top, one closed `<details>` a member, and the table."""
    fused = model_html(result.text) if result.text else "<p><em>no fused answer</em></p>"
    why = f"<p><small>{_say(result.verdict.reason)} {_say(sureness(result.verdict))}</small></p>"
    title = f"<strong>Fused answer</strong> · {_say(headline(result))} · {seconds(result.seconds)}"
    blocks = [
        f"<details open><summary>{title}</summary>{fused}{why}</details>",
        *(f"<p><small>{_say(note)}</small></p>" for note in result.notes),
        *map(_member, result.answers),
    ]
    if result.analysis is not None:
        blocks.append(_analysis(result.analysis))
    if result.positions:
        items = [
            f"{p.member} {'changed' if p.changed else 'kept'} its answer. {p.why}"
            for p in result.positions
        ]
        blocks.append(_details("Debate", _list(items)))
    whole = '<div class="nbfuse" style="overflow-wrap:break-word">'
    return "\n".join([whole, *blocks, _table(result), "</div>"])


def _member(answer: Answer) -> str:
    state = "" if answer.status == "complete" else f" · {answer.status}"
    late = "" if answer.judged else " · late, not judged"
    title = f"{_say(answer.member)} · {seconds(answer.seconds)}{state}{late}"
    body = _list(list(map(called, answer.tool_calls))) if answer.tool_calls else ""
    body += model_html(answer.text) if answer.text else ""
    if answer.failure is not None:
        body += f"<p><em>{_say(answer.failure.message)} {_say(answer.failure.hint)}</em></p>"
    return _details(title, body or "<p><em>nothing</em></p>")


def _analysis(analysis: Analysis) -> str:
    lists = {
        "Consensus": list(analysis.consensus),
        "Contradictions": [
            f"{c.topic}: " + "; ".join(f"{s.model} says {s.stance}" for s in c.stances)
            for c in analysis.contradictions
        ],
        "Only some say": [f"{', '.join(p.models)}: {p.point}" for p in analysis.partial_coverage],
        "Only one saw": [f"{u.model}: {u.insight}" for u in analysis.unique_insights],
        "Nobody covered": list(analysis.blind_spots),
    }
    body = "".join(
        f"<p><strong>{head}</strong></p>{_list(items)}" for head, items in lists.items() if items
    )
    return _details("Analysis", body or "<p><em>nothing to tell apart</em></p>")


def _table(result: FusionResult) -> str:
    head = "".join(f'<th scope="col"{_style(name)}>{name}</th>' for name in HEADS)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_style(n)}>{_say(c)}</td>" for n, c in zip(HEADS, row, strict=True))
        + "</tr>"
        for row in rows(result)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _style(column: str) -> str:
    """Words to the left and figures unbroken; a sanitiser that drops this does no harm."""
    return ' style="text-align:left"' if column in _WORDS else ' style="white-space:nowrap"'


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>{body}</details>"


def _list(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{_say(item)}</li>' for item in items)}</ul>"


def _say(text: str) -> str:
    """Text in which no formula begins: the notebook looks for one within an element only."""
    return re.sub(r"[$\\]", r"<span>\g<0></span>", escape(clean(text)))
