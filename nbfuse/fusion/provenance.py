"""On whose words each paragraph of a merged answer rests: matched, not asked for.

A model that is asked for its sources names some; words that stand in both texts can be checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from nbfuse.core.analysis import Quote
from nbfuse.fusion.candidates import Candidate

WORDS_IN_A_ROW = 5  # that no two people write by chance
LEAST_SHARED = 0.6  # of a quote's telling words

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_WORD = re.compile(r"\w+")
_TELLING = 4  # letters; figures always tell
# fmt: off
_FILLERS = frozenset((
    "about", "also", "although", "answer", "because", "both", "example", "from", "have", "however",
    "important", "into", "more", "most", "note", "other", "overall", "some", "such", "summary",
    "than", "that", "their", "them", "then", "there", "therefore", "these", "they", "this", "those",
    "thus", "very", "well", "were", "what", "when", "where", "which", "while", "will", "with",
    "would", "your",
))
# fmt: on


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a Markdown text; code stays in one piece."""
    blank = "\x00"
    held = _FENCED.sub(lambda code: code[0].replace("\n\n", f"\n{blank}"), text)
    pieces = re.split(r"\n\s*\n", held.strip())
    return [piece.replace(blank, "\n").strip() for piece in pieces if piece.strip()]


def provenance(
    text: str, those: Sequence[Candidate], quotes: Sequence[Quote], question: str
) -> tuple[tuple[str, ...], ...]:
    """For each paragraph of `text` the members whose words it has, in the order of `those`.

    It has them where most of a verified quote's telling words are in it, or five words in a row of
    which one tells: it is neither a filler nor in the question. Who gives other figures for the
    same words is no source of them.
    """
    common = set(_words(question)) | _FILLERS
    found = []
    for paragraph in paragraphs(text):
        words, figures = set(_telling(paragraph, common)), _figures(paragraph)
        behind = {
            quote.member
            for quote in quotes
            if (telling := _telling(quote.text, common))
            and sum(word in words for word in telling) >= LEAST_SHARED * len(telling)
            and (not _figures(quote.text) or _figures(quote.text) & figures)
        }
        runs = _runs(paragraph, common)
        behind |= {
            one.member
            for one in those
            if runs & _runs(one.text, common) and (not figures or figures & _figures(one.text))
        }
        found.append(tuple(dict.fromkeys(one.member for one in those if one.member in behind)))
    return tuple(found)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _figures(text: str) -> set[str]:
    return {word for word in _words(text) if word.isdigit()}


def _telling(text: str, common: Collection[str]) -> list[str]:
    return [
        word
        for word in _words(text)
        if word not in common and (len(word) >= _TELLING or word.isdigit())
    ]


def _runs(text: str, common: Collection[str]) -> set[tuple[str, ...]]:
    words = _words(text)
    runs = (tuple(words[i : i + WORDS_IN_A_ROW]) for i in range(len(words) - WORDS_IN_A_ROW + 1))
    return {run for run in runs if _telling(" ".join(run), common)}
