"""What a judge gets to see of the answers: anonymous, shuffled, fenced, without dress.

Candidates are data and may hold instructions; each stands between fences with a random tag that it
can't know. Headings, their emoji and emphasis are taken off, and bullets made plain, since judges
are swayed by style more than by anything else (arXiv:2604.23178).
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterable, Sequence
from itertools import chain, islice, product
from typing import NamedTuple

from nbfuse.core.types import Answer
from nbfuse.fusion.appeals import without_appeals

_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
# Only what is surely dress: one "#" may be a comment, "**" between letters a power, "- " YAML.
_EMOJI = r"[\u2600-\u27bf\u2b50-\u2b55\U0001f000-\U0001faff]\ufe0f?"
_BULLET = re.compile(r"^([ \t]*)[•◦‣▪●]", re.MULTILINE)
_DRESS = re.compile(
    rf"^#{{2,6}}[ \t]+(?:{_EMOJI}[ \t]*)*"
    r"|(?<![\w*])\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*])",
    re.MULTILINE,
)
_INTRODUCTION = re.compile(r"^\s*As an AI(?: (?:language )?model| assistant)?, ")


class Candidate(NamedTuple):
    """A text that a member stands for.

    `shown` is what a judge sees of it; `remarks` are what was said for and against it in a debate.
    """

    member: str
    text: str
    cut_off: bool
    shown: str
    remarks: tuple[str, ...] = ()


class Ballot(NamedTuple):
    """The candidates in the order in which a judge sees them, and the letters it knows them by.

    `seed` made the order (None: they stand as they came), `tag` fences each of them.
    """

    candidates: tuple[Candidate, ...]
    seed: int | None
    tag: str

    @property
    def letters(self) -> tuple[str, ...]:
        """A letter for each candidate: A to Z, then AA, AB and so on."""
        alphabet = string.ascii_uppercase
        names = chain(alphabet, map("".join, product(alphabet, repeat=2)))
        return tuple(islice(names, len(self.candidates)))

    def check(self, named: Iterable[str]) -> None:
        """Raise `ValueError` where a judge names a letter that stands for nobody."""
        for letter in named:
            if letter not in self.letters:
                raise ValueError(f"it names {letter!r}, not one of {', '.join(self.letters)}")

    def by_letter(self, letter: str) -> Candidate:
        """The candidate behind a letter of the ballot."""
        return self.candidates[self.letters.index(letter)]

    def with_names(self, text: str) -> str:
        """`text` with each "candidate A" replaced by the member's name."""

        def name(found: re.Match[str]) -> str:
            return self.by_letter(found[1]).member if found[1] in self.letters else found[0]

        return re.sub(r"\b[Cc]andidate ([A-Z]{1,2})\b", name, text)

    def fenced(self) -> str:
        """All candidates as the judge reads them."""
        return "\n\n".join(
            f"Candidate {letter}{' (cut off before its end)' if candidate.cut_off else ''}\n"
            f"<<<{self.tag}\n{_lines(candidate)}\n{self.tag}>>>"
            for letter, candidate in zip(self.letters, self.candidates, strict=True)
        )


def candidate(member: str, text: str, question: str, cut_off: bool = False) -> Candidate:
    """A text as a judge sees it: without dress, and without words to the judge."""
    return Candidate(member, text, cut_off, without_appeals(undress(text), question))


def candidates(answers: Sequence[Answer], question: str) -> list[Candidate]:
    """The usable answers as candidates."""
    return [
        candidate(answer.member, answer.text, question, answer.status != "complete")
        for answer in answers
        if answer.usable
    ]


def distinct(those: Sequence[Candidate]) -> list[Candidate]:
    """Each text once, for the member that said it first."""
    return list({" ".join(c.text.split()): c for c in reversed(those)}.values())[::-1]


def _lines(candidate: Candidate) -> str:
    if not candidate.remarks:
        return candidate.shown
    return "\n".join([candidate.shown, "", "What others said of it:", *candidate.remarks])


def shuffled(those: Sequence[Candidate], seed: int, tag: str) -> Ballot:
    """A ballot in an order that `seed` fixes, fenced by `tag`."""
    order = list(those)
    random.Random(seed).shuffle(order)
    return Ballot(tuple(order), seed, tag)


def opposite(ballot: Ballot, tag: str) -> Ballot:
    """The same candidates the other way round, fenced anew."""
    return ballot._replace(candidates=ballot.candidates[::-1], tag=tag)


def request(question: str, ballot: Ballot) -> str:
    """The request and the candidates, as every judge's prompt begins."""
    return f"The request:\n\n{question.strip()}\n\nThe candidates:\n\n{ballot.fenced()}"


def undress(text: str) -> str:
    """`text` without marks of style and an introduction of who speaks; code stays as it is."""
    pieces = _CODE.split(_INTRODUCTION.sub("", text.strip()))
    pieces[::2] = [
        _BULLET.sub(r"\1-", _DRESS.sub(lambda found: found[1] or "", piece))
        for piece in pieces[::2]
    ]
    return "".join(pieces).strip()
