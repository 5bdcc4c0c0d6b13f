"""A result as Markdown, for front ends and converters that prefer it to HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from nbfuse.core.analysis import Analysis
from nbfuse.core.clean import clean
from nbfuse.core.types import FusionResult
from nbfuse.render.fields import FIELD_HEADS, as_markdown, field_rows
from nbfuse.render.findings import checks, findings, moves, spoken, unfound
from nbfuse.render.table import HEADS, called, headline, rows, sureness

_ACTIVE = re.compile(r"<|!(?=\[)")  # raw HTML, and images: neither may come from a model
MOST_BRACKETS = 1000  # beyond it a search for links takes seconds
_ACTIVE_TOKENS = {"html_block", "html_inline", "image"}


def to_markdown(result: FusionResult) -> str:
    """The fused answer, why, every member's answer, and the table."""
    verdict = result.verdict
    why = f"{headline(result)}. {verdict.reason} {sureness(verdict)}"
    parts = [
        _closed(as_markdown(result.text)) or "*no fused answer*",
        *map(flat, (why, *result.notes)),
    ]
    if fields := field_rows(result):
        parts += ["**Fields**", _table(FIELD_HEADS, fields)]
    for answer in result.answers:
        failure = f"{answer.failure.message} {answer.failure.hint}" if answer.failure else ""
        parts.append(f"**{flat(answer.member)}**")
        parts += [_quote(flat(called(call))) for call in answer.tool_calls]
        parts.append(_quote(_closed(as_markdown(answer.text) or f"({failure or 'nothing'})")))
    if result.analysis is not None:
        parts += _findings(result.analysis)
    if result.positions:
        moved = (f"- {flat(f'{who} {what}')}" for who, what in moves(result))
        parts.append("\n".join(["**Debate**", "", *moved]))
    if told := checks(result):
        parts.append("\n".join(["**Checks**", "", *(f"- {flat(line)}" for line in told)]))
    parts.append(_table(HEADS, rows(result)))
    return harmless("\n\n".join(parts))  # as a whole: two harmless pieces can be harmful together


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    table = [heads, ("---",) * len(heads), *body]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in table)


def _findings(analysis: Analysis) -> list[str]:
    parts = []
    for head, items in findings(analysis).items():
        lines = []
        for item in items:
            lines.append(f"- {flat(item.text)}")
            lines += [f"  - {flat(spoken(voice))}" for voice in item.voices]
        parts.append("\n".join([f"**{head}**", "", *lines]))
    return parts + ([flat(unfound(analysis))] if analysis.unfound else [])


def harmless(text: str) -> str:
    """Markdown without raw HTML and images: these become text.

    Text that holds neither is left as it is. Where there is some, every `<` is escaped, in code
    too: whoever tries to tell code from text by itself can be tricked into leaving a tag alone.
    """
    reader = MarkdownIt("commonmark").enable("table")
    if text.count("[") <= MOST_BRACKETS and not any(map(_is_active, reader.parse(text))):
        return text
    return _ACTIVE.sub(lambda found: f"\\{found[0]}", text)


def _is_active(token: Token) -> bool:
    return token.type in _ACTIVE_TOKENS or any(map(_is_active, token.children or ()))


def _closed(text: str) -> str:
    """A model's Markdown that ends within itself: an open fence would swallow what follows."""
    text = clean(text).strip()
    reader = MarkdownIt("commonmark").disable("inline")
    fences = [token for token in reader.parse(f"{text}\n") if token.type == "fence"]
    if not fences or fences[-1].level or fences[-1].map is None:  # a list's ends with its list
        return text
    last = fences[-1]
    begin, end = fences[-1].map
    closed = end - begin == last.content.count("\n") + 2
    return text if closed else f"{text}\n{last.markup}"


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


def flat(text: str) -> str:
    """Foreign text on one line, without what could act."""
    return " ".join(clean(text).split())


def cell(text: str) -> str:
    """The same as a cell of a table."""
    return flat(text).replace("|", "\\|")
