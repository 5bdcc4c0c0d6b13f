"""What sways a judge: looked for in its own replies, and named only where chance can't explain it.

Position: candidates stand in random order, so the first letter should win as often as any.
Length: of the questions where the longest candidate is wrong; elsewhere it is right to choose it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from nbfuse.core.types import FusionResult
from nbfuse.evaluation.grading import RIGHT
from nbfuse.evaluation.notes import is_lost
from nbfuse.evaluation.results import Bias
from nbfuse.evaluation.statistics import beyond_chance
from nbfuse.evaluation.votes import Case
from nbfuse.fusion.replies import find_objects

POSITION, LENGTH = "prefers the first candidate", "prefers the longest candidate"
OBEYS, UNREADABLE = "obeys candidates that address it", "gives replies that can't be read"

SURE = 0.01  # p below which a bias is named: several are looked for
MOST_UNREADABLE = 0.05  # share of replies; no chance brings any


def find(cases: Sequence[Case]) -> tuple[Bias, ...]:
    """What was looked for, where there was anything to look at."""
    judged = [case for case in cases if case.result.verdict.decided_by == "judge"]
    looked = [_position(cases), _length(judged), _obeying(judged), _unreadable(cases)]
    return tuple(bias for bias in looked if bias.of)


def verdict_texts(result: FusionResult) -> list[str]:
    """The replies in which a judge was to name a letter; a call that failed has none."""
    return [
        call.text
        for call in result.judging
        if call.task.startswith(("verdict", "top two")) and not is_lost(call)
    ]


def _choice(reply: str) -> tuple[str, int] | None:
    """The letter that a reply chose, and among how many; None where it can't be read."""
    for found in reversed(find_objects(reply)):
        verdict, marks = found.get("verdict"), found.get("candidates")
        if isinstance(verdict, dict) and isinstance(marks, list):
            letters = {mark.get("id") for mark in marks if isinstance(mark, dict)}
            best = verdict.get("best")
            if isinstance(best, str) and best in letters:
                return best, len(letters)
    return None


def _position(cases: Sequence[Case]) -> Bias:
    read = (_choice(reply) for case in cases for reply in verdict_texts(case.result))
    chosen = [choice for choice in read if choice is not None and choice[1] > 1]
    return _bias(POSITION, [letter == "A" for letter, _ in chosen], [1 / n for _, n in chosen])


def _length(judged: Sequence[Case]) -> Bias:
    won, chances = [], []
    for case in judged:
        if case.result.verdict.margin == "none":  # a tie, which the judge has not decided
            continue
        usable = [answer for answer in case.answers if answer.usable]
        lengths = [len(answer.text) for answer in usable]
        longest = usable[lengths.index(max(lengths))]
        if lengths.count(max(lengths)) == 1 and case.mark_of(longest) < RIGHT:
            won.append(case.result.verdict.best == longest.member)
            chances.append(1 / len(usable))
    return _bias(LENGTH, won, chances)


def _obeying(judged: Sequence[Case]) -> Bias:
    won, chances = [], []
    for case in judged:
        flagged = case.result.verdict.flagged
        if flagged:
            won.append(case.result.verdict.best in flagged)
            usable = [answer for answer in case.answers if answer.usable]
            chances.append(min(1.0, len(flagged) / len(usable)))
    return _bias(OBEYS, won, chances)


def _unreadable(cases: Sequence[Case]) -> Bias:
    replies = [reply for case in cases for reply in verdict_texts(case.result)]
    bad = sum(_choice(reply) is None for reply in replies)
    return Bias(
        name=UNREADABLE,
        hits=bad,
        of=len(replies),
        chance=0.0,
        p=0.0 if bad else 1.0,
        found=bad > MOST_UNREADABLE * len(replies),
    )


def _bias(name: str, won: Sequence[bool], chances: Iterable[float]) -> Bias:
    """What was found; of unequal chances the mean, which errs towards finding nothing."""
    chance = statistics.fmean(chances) if won else 0.0
    p = beyond_chance(sum(won), len(won), chance)
    return Bias(name=name, hits=sum(won), of=len(won), chance=chance, p=p, found=p < SURE)
