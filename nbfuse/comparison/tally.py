"""Counts votes: ship and skip of each contender, and its rating by votes on pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from nbfuse.comparison.rating import Pair, Rating, ratings
from nbfuse.core.ballot import Ballot

HEADS = ("contender", "ship / skip", "rating by pairs")


class Count(msgspec.Struct, frozen=True):
    """What was voted on a contender: ship, skip, and its rating by blind pairs."""

    contender: str
    ship: int
    skip: int
    rating: Rating

    @property
    def shares(self) -> str:
        """Ship and skip in words."""
        return f"{self.ship} / {self.skip}" if self.ship + self.skip else "No votes yet"


def tally(ballots: Sequence[Ballot]) -> list[Count]:
    """Every contender that was voted on; the best rated first, then the most shipped.

    Raises `ConfigError` where the extra `evaluate` is missing.
    """
    pairs = [Pair(b.contender, b.other, b.tie) for b in ballots if b.kind == "pair"]
    counted = Counter((b.contender, b.kind) for b in ballots)
    everybody = dict.fromkeys(b.contender for b in ballots)
    made = [
        Count(rated.name, counted[rated.name, "ship"], counted[rated.name, "skip"], rated)
        for rated in ratings(pairs, list(everybody))
    ]
    return sorted(made, key=lambda one: (-(one.rating.rating or -math.inf), one.skip - one.ship))


def scales(counts: Sequence[Count]) -> list[str]:
    """A line where ratings can't be compared, since no votes lead from some to the others."""
    groups = dict.fromkeys(one.rating.among for one in counts if one.rating.rating is not None)
    if len(groups) < 2:
        return []
    told = "; ".join(", ".join(group) for group in groups)
    return [f"Ratings can be compared within each of these, which no votes connect: {told}."]


def rows(counts: Sequence[Count]) -> list[list[str]]:
    """The table of `HEADS`, as text."""
    return [[one.contender, one.shares, str(one.rating)] for one in counts]
