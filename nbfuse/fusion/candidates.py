"""What a judge gets to see of the answers: anonymous, shuffled, fenced, without dress.

Candidates are data and may hold instructions; each stands between fences with a random tag that it
can't know. Headings, bullets and emphasis are taken off, since judges are swayed by style more than
by anything else (arXiv:2604.23178).
"""

from __future__ import annotations

import os
import random
import re
import string
from collections.abc import Sequence
from typing import NamedTuple

from nbfuse.core.types import Answer

_DRESS = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|[-*+]\s+|>\s?)|(\*\*|__)(?=\S)|(?<=\S)(\*\*|__)", re.MULTILINE
)
_INTRODUCTION = re.compile(
    r"^\s*(?:as|i am|i'm)\s+(?:an?\s+)?[\w .-]{0,30}"
    r"\b(?:ai|gpt|claude|gemini|llama|mistral|assistant|model)\b[^.\n]{0,60}[.,:]\s*",
    re.IGNORECASE,
)


class Candidate(NamedTuple):
    """A text that a member stands for."""

    member: str
    text: str
    cut_off: bool = False


class Ballot(NamedTuple):
    """The candidates in the order in which a judge sees them, and the letters it knows them by."""

    candidates: tuple[Candidate, ...]
    seed: int

    @property
    def letters(self) -> str:
        """One letter for each candidate."""
        return string.ascii_uppercase[: len(self.candidates)]

    def by_letter(self, letter: str) -> Candidate:
        """The candidate behind a letter; raises `KeyError` for one that is not on the ballot."""
        place = self.letters.find(letter.strip().upper() or "?")
        if place < 0 or len(letter.strip()) != 1:
            raise KeyError(letter)
        return self.candidates[place]

    def fenced(self) -> str:
        """All candidates as the judge reads them."""
        tag = os.urandom(4).hex()
        return "\n\n".join(
            f"Candidate {letter}{' (cut off before its end)' if candidate.cut_off else ''}\n"
            f"<<<{tag}\n{undress(candidate.text)}\n{tag}>>>"
            for letter, candidate in zip(self.letters, self.candidates, strict=True)
        )


def candidates(answers: Sequence[Answer]) -> list[Candidate]:
    """The usable answers as candidates."""
    return [
        Candidate(answer.member, answer.text, answer.status != "complete")
        for answer in answers
        if answer.usable
    ]


def shuffled(those: Sequence[Candidate], seed: int) -> Ballot:
    """A ballot in an order that `seed` fixes."""
    order = list(those)
    random.Random(seed).shuffle(order)
    return Ballot(tuple(order), seed)


def undress(text: str) -> str:
    """`text` without Markdown's dress and without an introduction of who speaks."""
    return _DRESS.sub("", _INTRODUCTION.sub("", text.strip())).strip()
