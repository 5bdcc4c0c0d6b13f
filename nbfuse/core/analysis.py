"""How answers compare: five lists, with the names that OpenRouter's Fusion gives them.

Frozen structs that round-trip through JSON, as those of `types`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

QuotedList = Literal["consensus", "contradictions", "partial_coverage", "unique_insights"]


class Stance(msgspec.Struct, frozen=True):
    """What one member holds on a disputed topic."""

    model: str
    stance: str


class Contradiction(msgspec.Struct, frozen=True):
    """A topic on which members contradict each other."""

    topic: str
    stances: tuple[Stance, ...]


class PartialCoverage(msgspec.Struct, frozen=True):
    """A point that only some members make."""

    models: tuple[str, ...]
    point: str


class UniqueInsight(msgspec.Struct, frozen=True):
    """A point that one member alone makes."""

    model: str
    insight: str


class Quote(msgspec.Struct, frozen=True):
    """Words of a member's answer, found in it, that show item number `item` of the list `of`."""

    of: QuotedList
    item: int
    member: str
    text: str


class Analysis(msgspec.Struct, frozen=True):
    """How the answers compare, in five lists with the names of OpenRouter's Fusion.

    `unfound` counts the judge's quotes that are not in the answers, and so are not in `quotes`.
    """

    consensus: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    partial_coverage: tuple[PartialCoverage, ...]
    unique_insights: tuple[UniqueInsight, ...]
    blind_spots: tuple[str, ...]
    quotes: tuple[Quote, ...] = ()
    unfound: int = 0
