"""On whose words each paragraph of a merged answer rests: matched, not asked for.

A model that is asked for its sources names some; words that stand in both texts can be checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nbfuse.core.analysis import Quote
from nbfuse.fusion.candidates import Candidate

WORDS_IN_A_ROW = 5  # that no two people write by chance
LEAST_SHARED = 0.6  # of a quote's telling words

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_WORD = re.compile(r"\w+")
_TELLING = 4  # letters; figures always tell


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a Markdown text; code stays in one piece."""
    blank = "\x00"
    held = _FENCED.sub(lambda code: code[0].replace("\n\n", f"\n{blank}"), text)
    pieces = re.split(r"\n\s*\n", held.strip())
    return [piece.replace(blank, "\n").strip() for piece in pieces if piece.strip()]


def provenance(
    text: str, those: Sequence[Candidate], quotes: Sequence[Quote]
) -> tuple[tuple[str, ...], ...]:
    """For each paragraph of `text` the members whose words it has, in the order of `those`.

    It has them where most of a verified quote's telling words are in it, or five words in a row.
    """
    found = []
    for paragraph in paragraphs(text):
        words = set(_telling(paragraph))
        behind = {
            quote.member
            for quote in quotes
            if (telling := _telling(quote.text))
            and sum(word in words for word in telling) >= LEAST_SHARED * len(telling)
        }
        runs = _runs(paragraph)
        behind |= {one.member for one in those if runs & _runs(one.text)}
        found.append(tuple(dict.fromkeys(one.member for one in those if one.member in behind)))
    return tuple(found)


def _telling(text: str) -> list[str]:
    words = _WORD.findall(text.casefold())
    return [word for word in words if len(word) >= _TELLING or word.isdigit()]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[i : i + WORDS_IN_A_ROW]) for i in range(len(words) - WORDS_IN_A_ROW + 1)}
