"""What reviewers say, as data: takes on contenders, and what was found out about reviewers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from nbfuse.comparison.reviewers import Reviewer
from nbfuse.fusion.quotes import find_quote

MOST_MARK = 4
NO_TAKE = "No panel take"
SHIPS_CONTROL = "it would ship answers to other questions, which ask to be shipped"
LEAST_SUPPORTED = 0.5  # of the weights of a reviewer's criteria, by marks whose quotes were found
SHORTEST_QUOTE = 8  # characters, but for an answer that is shorter as a whole


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """What one reviewer makes of one contender, over both orders.

    `score` is of 100, from the marks; None where there is no take, and `why` then says why not.
    `quotes` are those that were found in the evidence, by criterion; `unfound` counts the others.
    `flipped` tells that it would ship in one order and skip in the other; `ship` then is None.
    """

    reviewer: str
    contender: str
    score: float | None = None
    ship: bool | None = None
    marks: dict[str, float] = {}
    quotes: dict[str, str] = {}
    unfound: int = 0
    flipped: bool = False
    why: str = ""
    would_change: str = ""

    @property
    def verdict(self) -> str:
        """Ship or skip, in a word or two."""
        if self.score is None:
            return NO_TAKE
        if self.ship is None:
            return "ship in one order, skip in the other"
        return "ship" if self.ship else "skip"


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """Why a reviewer does not decide: what was found out about it."""

    reviewer: str
    found: str


class Reviewed(NamedTuple):
    """What came of one reviewer."""

    takes: list[Take]
    biases: list[Bias]


class Supported(NamedTuple):
    """The quotes that stand in the evidence, by criterion, and how many do not."""

    quotes: dict[str, str]
    unfound: int

    def enough(self, reviewer: Reviewer) -> bool:
        """Whether they bear out half of the marks, by weight."""
        weights = {name: one.weight for name, one in reviewer.criteria.items()}
        held = sum(weights[name] for name in self.quotes)
        return held >= LEAST_SUPPORTED * sum(weights.values())


def supported(quotes: Mapping[str, str], facts: Sequence[str], answers: Sequence[str]) -> Supported:
    """Look up the quotes of one reply, by criterion, in what is known of one contender."""
    found: dict[str, str] = {}
    unfound = 0
    whole = "\n".join([*facts, *answers])
    short = {" ".join(answer.split()).casefold() for answer in answers}
    for criterion, quote in quotes.items():
        words = find_quote(quote, whole)
        if len(words) < SHORTEST_QUOTE and " ".join(words.split()).casefold() not in short:
            words = ""
        if words:
            found[criterion] = words
        unfound += bool(quote.strip()) and not words
    return Supported(found, unfound)


def untaken(reviewer: str, contenders: Sequence[str], why: str) -> Reviewed:
    """A reviewer without a take, and why."""
    takes = [Take(reviewer=reviewer, contender=name, why=why) for name in contenders]
    return Reviewed(takes, [])
