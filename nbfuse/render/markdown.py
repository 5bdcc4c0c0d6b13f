"""A result as Markdown, for front ends and converters that prefer it to HTML."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from nbfuse.core.clean import clean
from nbfuse.core.types import FusionResult
from nbfuse.render.table import HEADS, headline, rows, sureness

_ACTIVE = re.compile(r"<|!(?=\[)")  # raw HTML, and images: neither may come from a model
_ACTIVE_TOKENS = {"html_block", "html_inline", "image"}


def to_markdown(result: FusionResult) -> str:
    """The fused answer, why, every member's answer, and the table."""
    verdict = result.verdict
    parts = [
        harmless(result.text) or "*no fused answer*",
        f"*{harmless(headline(result))}. {harmless(verdict.reason)} {sureness(verdict)}*",
        *(f"*{harmless(note)}*" for note in result.notes),
    ]
    for answer in result.answers:
        failure = answer.failure.message if answer.failure else ""
        parts.append(f"**{harmless(answer.member)}**")
        parts.append(_quote(harmless(answer.text or f"({failure or 'nothing'})")))
    table = [HEADS, ("---",) * len(HEADS), *rows(result)]
    parts.append("\n".join(f"| {' | '.join(map(_cell, row))} |" for row in table))
    return "\n\n".join(parts)


def harmless(text: str) -> str:
    """Markdown from a model, with raw HTML and images turned into text.

    Text that holds neither is left as it is. Where there is some, every `<` is escaped, in code
    too: whoever tries to tell code from text by itself can be tricked into leaving a tag alone.
    """
    text = clean(text).strip()
    if not any(map(_is_active, MarkdownIt("commonmark").parse(text))):
        return text
    return _ACTIVE.sub(lambda found: f"\\{found[0]}", text)


def _is_active(token: Token) -> bool:
    return token.type in _ACTIVE_TOKENS or any(map(_is_active, token.children or ()))


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _cell(text: str) -> str:
    return harmless(text).replace("|", "\\|").replace("\n", " ")
