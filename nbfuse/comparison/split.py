"""What reviewers come to together: mean and spread, who dissents and on what.

A reviewer that was found to have a bias is shown and does not count.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from nbfuse.comparison.take import Bias, Take

LEAST_TAKES = 2  # that count, below which there is no verdict
FAR = 30.0  # points of 100 from the median, which make a dissenter whatever it would do
NO_VERDICT = "No panel verdict"


class Dissent(msgspec.Struct, frozen=True):
    """A reviewer who would do otherwise than most, or whose score is far from the others'.

    `points` is its distance from the median, `criterion` what it differs on most, and `verdict`
    what it would do, where most would do the other.
    """

    reviewer: str
    points: float
    criterion: str
    verdict: str = ""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """One contender's scores over the reviewers that count: `mean` and sample deviation `spread`.

    `flips` are the reviewers who contradicted themselves about it when the order was turned round.
    """

    contender: str
    ship: int
    skip: int
    takes: int
    mean: float | None = None
    spread: float | None = None
    dissent: tuple[Dissent, ...] = ()
    flips: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of the reviewers with a take that would ship it; None for no take."""
        return self.ship / self.takes if self.takes else None

    @property
    def verdict(self) -> str:
        """The panel's verdict as the page says it."""
        counts = f"{self.ship} ship / {self.skip} skip"
        if self.takes < LEAST_TAKES or self.ship == self.skip:
            return f"{NO_VERDICT} · {counts}"
        return f"{'Ship' if self.ship > self.skip else 'Skip'} · {counts}"


def counting(takes: Sequence[Take], biases: Sequence[Bias]) -> list[Take]:
    """The takes of those who were not found to have a bias."""
    biased = {bias.reviewer for bias in biases}
    return [take for take in takes if take.reviewer not in biased]


def splits(counted: Sequence[Take], names: Sequence[str]) -> tuple[Split, ...]:
    """The split of every contender, in the order of `names`."""
    return tuple(_split(name, [t for t in counted if t.contender == name]) for name in names)


def _split(name: str, takes: Sequence[Take]) -> Split:
    scored = {take.reviewer: take for take in takes if take.score is not None}
    scores = {reviewer: take.score or 0.0 for reviewer, take in scored.items()}
    return Split(
        contender=name,
        ship=sum(take.ship is True for take in scored.values()),
        skip=sum(take.ship is False for take in scored.values()),
        takes=len(scored),
        mean=statistics.fmean(scores.values()) if scores else None,
        spread=statistics.stdev(scores.values()) if len(scores) > 1 else None,
        dissent=tuple(_dissent(scored, scores)),
        flips=tuple(take.reviewer for take in scored.values() if take.flipped),
    )


def _dissent(takes: Mapping[str, Take], scores: Mapping[str, float]) -> list[Dissent]:
    if len(scores) <= LEAST_TAKES:
        return []
    ships = [take.ship for take in takes.values()]
    ship, skip = ships.count(True), ships.count(False)
    most = None if ship == skip else ship > skip
    found, median = [], statistics.median(scores.values())
    for reviewer, take in takes.items():
        away = scores[reviewer] - median  # one outlier must not make dissenters of the others
        otherwise = most is not None and take.ship is not None and take.ship is not most
        if otherwise or abs(away) >= FAR:
            verdict = take.verdict if otherwise else ""
            found.append(Dissent(reviewer, away, _decisive(take.marks, away), verdict))
    return found


def _decisive(marks: Mapping[str, float], away: float) -> str:
    """The criterion that draws a dissenter away most; none where it marks all alike."""
    if len(set(marks.values())) == 1:
        return ""
    return min(marks, key=lambda name: marks[name] if away < 0 else -marks[name], default="")
