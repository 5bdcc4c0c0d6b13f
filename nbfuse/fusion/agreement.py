"""Answers that can be compared: who agrees with whom, and whether that is enough.

Where a plurality agrees no judge is paid (self-consistency over different models: Wang et al.
2022, arXiv:2203.11171; the anchored tie-break and the thresholds are measured in the design notes).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbfuse.core.types import Answer, AnswerKind
from nbfuse.fusion.canonical import Reading, object_of, read, sniff
from nbfuse.fusion.fields import Fused, fuse_fields, read_json, same_as
from nbfuse.fusion.sandbox import Ran


class Agreement(NamedTuple):
    """Groups of members that agree, the heaviest first (ties: the one with the anchor).

    `weights` has one for each group. Who said nothing comparable stands alone, after the others.
    """

    kind: AnswerKind
    groups: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...] = ()

    @property
    def countable(self) -> bool:
        """Whether groups can be counted: free texts that mean the same are not found to agree."""
        return self.kind != "text"

    @property
    def unanimous(self) -> bool:
        """Whether everybody says the same."""
        return len(self.groups) == 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many members are in each group."""
        return tuple(map(len, self.groups))


class ByFields(NamedTuple):
    """The member whose JSON object is nearest to the vote on each field, and that vote.

    `whole` tells that each field has a clear majority and that member has them all.
    """

    nearest: str
    fused: Fused
    whole: bool


def compare(
    answers: Sequence[Answer],
    kind: AnswerKind | None,
    anchor: str,
    question: str = "",
    weights: Mapping[str, float] | None = None,
    outputs: Mapping[str, Ran] | None = None,
) -> Agreement | None:
    """Who agrees with whom; None where the answers can't be compared.

    Without a `kind` only what is beyond doubt is compared: marked answers (boxed, `####`, a JSON
    `answer`), bare numbers, bare options of those that the question lists, what code has printed,
    and texts that are the same to the letter. Unfinished answers have no vote. `weights` are by
    member, 1 for who has none; `outputs` by the code that was run.
    """
    voters = [
        answer for answer in answers if answer.failure is None and answer.status == "complete"
    ]
    kind = kind or sniff([answer.text for answer in voters], question, outputs is not None)
    found = {answer.member: read(answer.text, kind, question, outputs) for answer in voters}
    groups = _groups({member: one for member, one in found.items() if one is not None})
    if not groups:
        return None
    return _ranked(kind, groups, answers, anchor, weights)


def compare_objects(
    answers: Sequence[Answer], anchor: str, weights: Mapping[str, float] | None = None
) -> Agreement | None:
    """Who gives the same JSON as a whole, of answers that obey a schema; None where nobody does."""
    groups: dict[str, list[str]] = {}
    for answer in answers:
        if answer.failure is None and answer.status == "complete":
            with contextlib.suppress(ValueError):
                groups.setdefault(same_as(read_json(answer.text)), []).append(answer.member)
    if not groups:
        return None
    return _ranked("json", [tuple(group) for group in groups.values()], answers, anchor, weights)


def _ranked(
    kind: AnswerKind,
    groups: list[tuple[str, ...]],
    answers: Sequence[Answer],
    anchor: str,
    weights: Mapping[str, float] | None,
) -> Agreement:
    weigh = {answer.member: (weights or {}).get(answer.member, 1.0) for answer in answers}
    groups = sorted(groups, key=lambda group: (-_sum(weigh, group), anchor not in group))
    grouped = {member for group in groups for member in group}
    whole = (*groups, *((a.member,) for a in answers if a.member not in grouped))
    return Agreement(kind, whole, tuple(_sum(weigh, group) for group in whole))


def _groups(found: Mapping[str, Reading]) -> list[tuple[str, ...]]:
    """Members by what they say; a number without unit goes to the one quantity that it fits."""
    keys = dict.fromkeys(one.key for one in found.values() if not one.fits)
    fitting = {
        one.key: {other.key for other in found.values() if other.bare == one.key}
        for one in found.values()
        if one.fits
    }

    def place(one: Reading) -> str:
        if one.fits and len(those := fitting[one.key]) == 1:
            return next(iter(those))
        return f"bare {one.key}" if one.fits else one.key

    places = {member: place(one) for member, one in found.items()}
    ordered = dict.fromkeys([*places.values(), *keys])
    return [tuple(m for m, place in places.items() if place == one) for one in ordered]


def is_enough(
    found: Agreement, electorate: Mapping[str, float], least: int = 2, everybody: bool = False
) -> bool:
    """Whether the first group decides: it outweighs all others of the electorate together.

    `electorate` holds the weight of everyone whose vote counts or may still come. It takes `least`
    members (a single one never decides, whatever it weighs), or `everybody`.
    """
    group = found.groups[0]
    if everybody or not found.countable:  # free texts are alike only where all are
        return len(group) >= max(2, least) and set(group) >= set(electorate)
    share = _sum(electorate, group)
    return len(group) >= max(2, least) and 2 * share > _sum(electorate, electorate)


def by_fields(
    answers: Sequence[Answer], anchor: str, weights: Mapping[str, float] | None = None
) -> ByFields | None:
    """The vote on each field of JSON objects, and who is nearest; None below three objects.

    An object that no member gave is never put together here: best-of returns answers verbatim.
    Members that gave no object have a vote all the same, against every field.
    """
    objects = {
        answer.member: value
        for answer in answers
        if answer.failure is None and answer.status == "complete"
        if isinstance(value := object_of(answer.text), dict)
    }
    if len(objects) < 3:
        return None
    everybody = {answer.member: objects.get(answer.member, {}) for answer in answers}
    fused = fuse_fields(everybody, anchor, weights)

    def near(member: str) -> tuple[int, bool]:
        agreeing = sum(member in field.values[0][1] for field in fused.support.values())
        return agreeing, member == anchor

    nearest = max(objects, key=near)
    whole = same_as(objects[nearest]) == same_as(fused.value)
    return ByFields(nearest, fused, whole and not fused.disputed)


def _sum(weigh: Mapping[str, float], members: Sequence[str] | Mapping[str, float]) -> float:
    return round(sum(weigh.get(member, 1.0) for member in members), 9)  # 0.1 + 0.2 ties with 0.3
