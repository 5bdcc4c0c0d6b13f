"""Which one to ship, if that can be said: two contenders told apart, and a lead beyond the noise.

"Too close to call" and "cannot be told apart" are results, too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from nbfuse.comparison.apart import Apart
from nbfuse.comparison.evidence import Versus
from nbfuse.comparison.split import LEAST_TAKES, Split
from nbfuse.comparison.take import Take
from nbfuse.core.types import Confidence
from nbfuse.evaluation.statistics import mcnemar, need

LEVEL = 0.05  # of taking the noise of reviewers for a lead
SURE = 0.01  # below which a lead without a flip is sure
LEAST_LEAD = 5.0  # points of 100: less than one mark on one criterion makes
GRAIN = 5.0  # points by which a score is rough, since marks are whole numbers: no less is its noise


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The winner, None where there is none, and why, in a sentence.

    `lead` is in points of 100 by which reviewers who judged both mark the `first` higher than the
    `second`; `p` is that of Student's t test that they do not. Each reviewer that flipped lowers
    the confidence.
    """

    sentence: str
    winner: str | None = None
    first: str | None = None
    second: str | None = None
    lead: float | None = None
    p: float | None = None
    confidence: Confidence = "low"


def decide(
    counted: Sequence[Take],
    splits: Sequence[Split],
    apart: Sequence[Apart],
    versus: Sequence[Versus] = (),
    own_questions: bool = True,
) -> Decision:
    """Who is to be shipped; nobody where contenders or reviewers leave that open.

    With `own_questions` every reviewer has read questions that no other has; else their agreement
    says nothing about other questions, and there is no winner.

    `counted` are the takes of reviewers without a bias. The lead has to be on one side by more than
    reviewers differ among each other, and most of them have to agree. What was measured is said
    beside it, where it tells contenders apart.
    """
    found = _decided(counted, splits, apart, own_questions)
    told = []
    for one, other, points in _better(apart, versus):
        if found.first is None or {one, other} == {found.first, found.second}:
            told.append(f"{one} is right more often than {other}, by {points:.0f} points.")
        if other == found.winner and one == found.second:
            said = f"No verdict: reviewers prefer {other}, by {found.lead or 0:.0f} of 100 points."
            found = msgspec.structs.replace(found, winner=None, confidence="low", sentence=said)
    if told:
        said = f"{found.sentence} Measured, {' '.join(told)}"
        found = msgspec.structs.replace(found, sentence=said)
    return found


def _better(apart: Sequence[Apart], versus: Sequence[Versus]) -> list[tuple[str, str, float]]:
    """Who is right more often than whom, and by how many points, where that is beyond chance."""
    made = []
    for pair, counted in zip(apart, versus, strict=False):
        if "accuracy" in pair.by and counted.accuracy is not None:
            points = 100 * counted.accuracy.mean
            names = (counted.one, counted.other) if points > 0 else (counted.other, counted.one)
            made.append((*names, abs(points)))
    return made


def _decided(
    counted: Sequence[Take], splits: Sequence[Split], apart: Sequence[Apart], own_questions: bool
) -> Decision:
    rated = sorted((s for s in splits if s.mean is not None), key=lambda s: -(s.mean or 0.0))
    leads: Mapping[str, float] = {}
    if len(rated) > 1:
        leads = _leads(counted, rated[0].contender, rated[1].contender)
    prefer = _preferring(leads, rated)
    if apart and not any(pair.by for pair in apart):
        words = apart[0].words if len(apart) == 1 else "They cannot be told apart."
        return Decision(sentence=f"{words}{prefer}")
    if len(leads) < LEAST_TAKES:
        return Decision(sentence="Too few reviewers could judge: there is no verdict.")
    first, second = rated[0].contender, rated[1].contender
    lead, p = statistics.fmean(leads.values()), _t_test(list(leads.values()))
    found = Decision(sentence="", first=first, second=second, lead=lead, p=p)

    def no_winner(said: str) -> Decision:
        return msgspec.structs.replace(found, sentence=said)

    told = f"{first} leads {second} by {lead:.0f} of 100 points"
    pair = next(one for one in apart if {one.one, one.other} == {first, second})
    if not own_questions:
        why = "there are fewer questions than reviewers, who have all read the same"
        return no_winner(f"Too few questions to call: {told}, but {why}.")
    if not pair.by:
        return no_winner(f"{told}, but {pair.words[0].lower() + pair.words[1:]}")
    if lead < LEAST_LEAD or p >= LEVEL or 2 * sum(x > 0 for x in leads.values()) <= len(leads):
        return no_winner(f"Too close to call: {told}, and reviewers differ by as much.")
    if rated[0].ship <= rated[0].skip:
        return no_winner(f"Ship none: {told}, but the panel would not ship it.")
    flips = {name for split in rated[:2] for name in split.flips}
    sure: Confidence = "medium" if flips or p >= SURE else "high"
    if 2 * len(flips) >= len(leads):
        sure = "low"
    turned = f" {len(flips)} of them would decide otherwise in the other order." if flips else ""
    return msgspec.structs.replace(
        found,
        sentence=f"Ship {first}. It {told[len(first) + 1 :]}, over {len(leads)} reviewers.{turned}",
        winner=first,
        confidence=sure,
    )


def _preferring(leads: Mapping[str, float], rated: Sequence[Split]) -> str:
    """How many reviewers prefer whom, and how often chance brings that; empty for none."""
    one, other = sum(x > 0 for x in leads.values()), sum(x < 0 for x in leads.values())
    if not one + other:
        return ""
    first, second = rated[0].contender, rated[1].contender
    who, count = (first, one) if one >= other else (second, other)
    many = "reviewer prefers" if count == 1 else "reviewers prefer"
    return (
        f" {count} {many} {who}, of {len(leads)}: chance alone brings as much in "
        f"{mcnemar(one, other):.0%} of such panels."
    )


def _leads(counted: Sequence[Take], first: str, second: str) -> Mapping[str, float]:
    """By how much each reviewer who judged both marks the first higher."""
    scores: dict[str, dict[str, float]] = {first: {}, second: {}}
    for take in counted:
        if take.score is not None and take.contender in scores:
            scores[take.contender][take.reviewer] = take.score
    return {
        name: scores[first][name] - scores[second][name]
        for name in scores[first]
        if name in scores[second]
    }


def _t_test(leads: Sequence[float]) -> float:
    """The p of Student's two-sided t test that the mean of these is 0."""
    spread = max(GRAIN, statistics.stdev(leads))
    t = statistics.fmean(leads) / (spread / math.sqrt(len(leads)))
    return float(2 * need("scipy.stats").t.sf(abs(t), len(leads) - 1))
