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
from nbfuse.evaluation.statistics import need

LEVEL = 0.05  # of taking the noise of reviewers for a lead
SURE = 0.01  # below which a lead without a flip is sure
LEAST_LEAD = 5.0  # points of 100: less than one mark on one criterion makes
GRAIN = 5.0  # points by which a score is rough, since marks are whole numbers: no less is its noise


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
        return Decision(sentence=f"{words}{prefer and f' {prefer}: that may be chance.'}")
    if len(leads) < LEAST_TAKES:
        return Decision(sentence="Too few reviewers could judge: there is no verdict.")
    first, second = rated[0].contender, rated[1].contender
    lead, p = statistics.fmean(leads.values()), _t_test(list(leads.values()))
    found = Decision(sentence="", second=second, lead=lead, p=p)

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
        return no_winner(f"Neither: {told}, but the panel would not ship it.")
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
    """How many reviewers prefer whoever has the highest mean; empty for none."""
    count = sum(lead > 0 for lead in leads.values())
    return f"{count} of {len(leads)} reviewers prefer {rated[0].contender}" if count else ""


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
