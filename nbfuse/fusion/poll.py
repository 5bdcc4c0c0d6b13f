"""Counts what a debate has come to: a vote over what was said first and last.

A member has a vote with what it said first and one with what it says last, and the last counts half
as much again where a located error justified the change. Who could not reply votes no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbfuse.core.types import Position
from nbfuse.fusion.argue import same
from nbfuse.fusion.candidates import Candidate
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import alike

JUSTIFIED = 1.5


class Count(NamedTuple):
    """The text that has more than half of all votes, whose it is, and how many these are."""

    text: str
    member: str
    votes: float
    of: float


def count(run: Run, first: Sequence[Candidate], last: Sequence[Position]) -> Count | None:
    """Who has won the vote; None where answers can't be compared, or nobody has most of it."""
    labels = [member.label for member in run.plan.members]
    worth = dict(zip(labels, run.measured.weights([m.spec for m in run.plan.members]), strict=True))
    votes = [(one.member, one.text, worth[one.member]) for one in first if not one.cut_off]
    votes += [
        (p.member, p.after, worth[p.member] * (JUSTIFIED if p.changed and p.located else 1))
        for p in last
        if not p.lost
    ]
    groups = alike(run, [text for _, text, _ in votes])
    if groups is None:
        return None
    total = sum(weight for _, _, weight in votes)
    of = {i: sum(votes[j][2] for j in group) for i, group in enumerate(groups)}
    leading = max(of, key=of.__getitem__)
    if 2 * of[leading] <= total:
        return None
    mine = [votes[j][:2] for j in groups[leading]]
    anchor = run.plan.anchor.label
    member, text = next((one for one in mine if one[0] == anchor), mine[0])
    return Count(text, member, of[leading], total)


def minority(run: Run, text: str, last: Sequence[Position]) -> tuple[Position, ...]:
    """Where members stand that the outcome has not followed."""
    groups = alike(run, [text, *(p.after for p in last)])
    if groups is None:
        return tuple(p for p in last if not same(p.after, text))
    with_it = next(group for group in groups if 0 in group)
    return tuple(p for i, p in enumerate(last, 1) if i not in with_it)
