"""Which one to ship, if that can be said: two contenders told apart, and a lead beyond the noise.

"Too close to call" and "cannot be told apart" are results, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from nbfuse.comparison.apart import Apart
from nbfuse.comparison.evidence import Versus
from nbfuse.comparison.split import LEAST_TAKES, Split
from nbfuse.comparison.take import Take
from nbfuse.core.types import Confidence
from nbfuse.evaluation.statistics import need

LEVEL = 0.05  # of taking the noise of reviewers for a lead
SURE = 0.01  # below which a lead without a flip is sure


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The winner, None where there is none, and why, in a sentence.

    `lead` is in points of 100 over the second, over the reviewers who judged both; `p` is that of
    Student's t test that they have none. Each reviewer that flipped lowers the confidence.
    """

    sentence: str
    winner: str | None = None
    second: str | None = None
    lead: float | None = None
    p: float | None = None
    confidence: Confidence = "low"


def decide(
    counted: Sequence[Take],
    splits: Sequence[Split],
    apart: Sequence[Apart],
    versus: Sequence[Versus] = (),
) -> Decision:
    """Who is to be shipped; nobody where contenders or reviewers leave that open.

    `counted` are the takes of reviewers without a bias. The lead has to be on one side by more than
    reviewers differ among each other, and most of them have to agree. What was measured is said
    beside it, where it tells contenders apart.
    """
    found = _decided(counted, splits, apart)
    if found.winner is None and (told := _measured(apart, versus)):
        return msgspec.structs.replace(found, sentence=f"{found.sentence} {told}")
    return found


def _measured(apart: Sequence[Apart], versus: Sequence[Versus]) -> str:
    """Who is right more often, where that is beyond chance."""
    told = []
    for pair, counted in zip(apart, versus, strict=False):
        if "accuracy" in pair.by and counted.accuracy is not None:
            better, worse = counted.one, counted.other
            if counted.accuracy.mean < 0:
                better, worse = worse, better
            points = 100 * abs(counted.accuracy.mean)
            told.append(f"{better} is right more often than {worse}, by {points:.0f} points.")
    return f"Measured, {' '.join(told)}" if told else ""


def _decided(counted: Sequence[Take], splits: Sequence[Split], apart: Sequence[Apart]) -> Decision:
    nothing = [pair for pair in apart if not pair.by]
    if apart and len(nothing) == len(apart):
        words = nothing[0].words if len(apart) == 1 else "They cannot be told apart."
        return Decision(sentence=f"{words} What reviewers prefer among them is chance.")
    rated = sorted((s for s in splits if s.mean is not None), key=lambda s: -(s.mean or 0.0))
    if len(rated) < 2:
        return Decision(sentence="Too few reviewers could judge: there is no verdict.")
    first, second = rated[0].contender, rated[1].contender
    leads = _leads(counted, first, second)
    if len(leads) < LEAST_TAKES:
        return Decision(sentence="Too few reviewers could judge both: there is no verdict.")
    lead, p = statistics.fmean(leads.values()), _t_test(list(leads.values()))
    found = Decision(sentence="", second=second, lead=lead, p=p)
    told = f"{first} leads {second} by {lead:.0f} of 100 points"
    pair = next(one for one in apart if {one.one, one.other} == {first, second})
    agreeing = sum(one > 0 for one in leads.values())
    if not pair.by:
        said = f"{told}, but {pair.words[0].lower() + pair.words[1:]}"
        return msgspec.structs.replace(found, sentence=said)
    if lead <= 0 or p >= LEVEL or 2 * agreeing <= len(leads):
        said = f"Too close to call: {told}, and reviewers differ by as much."
        return msgspec.structs.replace(found, sentence=said)
    if rated[0].ship <= rated[0].skip:
        said = f"Neither: {told}, but the panel would not ship it."
        return msgspec.structs.replace(found, sentence=said)
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
    if len(set(leads)) == 1:
        return 0.0 if leads[0] and len(leads) > LEAST_TAKES else 1.0
    return float(need("scipy.stats").ttest_1samp(leads, 0.0).pvalue)
