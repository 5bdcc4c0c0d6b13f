"""The arms of a pool: what was fused, and what it is compared with, question by question.

All arms stand on the same answers. An arm costs what it would have cost by itself, and takes as
long as the slowest of its calls and then its judge; in mode auto only those that it needs, one
after another.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from nbfuse.core.types import Answer, FusionResult
from nbfuse.evaluation.grading import Marks
from nbfuse.evaluation.results import (
    ANCHORED_VOTE,
    BEST_SINGLE,
    FUSED,
    GUARDED,
    PLAIN_VOTE,
    SELF_PANEL,
    Outcome,
)
from nbfuse.evaluation.voices import Panel
from nbfuse.evaluation.votes import (
    Case,
    best_members,
    best_of,
    countable,
    fold_of,
    trusted,
    used,
    vote,
    weights_of,
)
from nbfuse.fusion.price import ASKED_FIRST

LEAST_SAMPLES, MOST_SAMPLES = 2, 16  # of a self-panel


class Choices(msgspec.Struct, frozen=True):
    """What was chosen out of fold, for each fold, and on all questions."""

    best: tuple[str, ...]
    weights: tuple[Mapping[str, float], ...]
    trusted: tuple[bool, ...]
    overall: str
    seed: int


def choose(panel: Panel, cases: Sequence[Case], seed: int) -> Choices:
    """The best member and whether the judge has earned its place, out of fold."""
    names, anchor = panel.labels, panel.plan.anchor.label
    best = best_members(cases, names, anchor, seed)
    weights = weights_of(cases, names, best, seed)
    return Choices(
        best=best,
        weights=weights,
        trusted=trusted(cases, panel.pool.answer, best, weights, seed),
        overall=best_of(cases, names, anchor),
        seed=seed,
    )


def samples(cases: Sequence[Case], best: str) -> int:
    """How many samples of its best member cost about what the pool does, 2 to 16.

    Where nothing is billed, or the price is not known: as many as the pool makes calls.
    """
    pool = [_sum([*case.used, *case.result.judging]) for case in cases]
    single = [case.answer_of(best).cost for case in cases]
    known = [(p, s) for p, s in zip(pool, single, strict=True) if p is not None and s is not None]
    paid = sum(s for _, s in known)
    if len(known) == len(cases) and paid > 0:
        wanted = float(sum(p for p, _ in known) / paid)
    else:
        wanted = statistics.fmean(len(c.used) + len(c.result.judging) for c in cases)
    return min(MOST_SAMPLES, max(LEAST_SAMPLES, round(wanted)))


def outcomes(
    panel: Panel,
    cases: Sequence[Case],
    choices: Choices,
    repeated: Mapping[str, tuple[Answer, ...]],
    marks: Marks,
) -> list[Outcome]:
    """Every arm on every graded question; `repeated` are the self-panel's answers by question."""
    made: list[Outcome] = []
    for case in cases:
        fold = fold_of(case.question, choices.seed)
        best, first = choices.best[fold], panel.labels[0]
        made.append(fused(panel, case))
        weights = choices.weights[fold]
        made.append(_guarded(panel, case, best, weights, choices.trusted[fold]))
        made.append(_single(panel, case, BEST_SINGLE, case.answer_of(best)))
        for arm, anchor, weigh in ((PLAIN_VOTE, first, None), (ANCHORED_VOTE, best, weights)):
            chosen = vote(case.question, case.answers, case.kind, anchor, weigh)
            made.append(_voted(panel, case, arm, chosen, case.answers, case.mark_of(chosen)))
        if (said := repeated.get(case.question.id)) is not None:
            chosen = vote(case.question, said, case.kind, said[0].member)
            mark = marks.of(case.question.id, chosen.text if chosen else "") or 0.0
            made.append(_voted(panel, case, SELF_PANEL, chosen, said, mark))
        made += [_single(panel, case, answer.member, answer) for answer in case.answers]
    return made


def fused(panel: Panel, case: Case) -> Outcome:
    """What the pool came to, as it is configured."""
    unmarked = ungraded(panel, case.question.id, case.answers, case.result)
    return msgspec.structs.replace(unmarked, mark=case.mark)


def ungraded(
    panel: Panel, question: str, answers: Sequence[Answer], result: FusionResult
) -> Outcome:
    """What a pool came to where the grader failed: kept, without a mark."""
    asked = used(answers, result)
    return Outcome(
        question=question,
        pool=panel.name,
        arm=FUSED,
        by=result.verdict.best or result.verdict.decided_by,
        text=result.text,
        mark=None,
        cost=_sum([*asked, *result.judging]),
        seconds=_asked_s(panel, asked) + judging_s(result),
        calls=len(asked) + len(result.judging),
    )


def _guarded(
    panel: Panel, case: Case, best: str, weights: Mapping[str, float], judge_decides: bool
) -> Outcome:
    """What it would come to with what was measured on the other folds: weights, and the judge.

    The weighed vote stands in for a judge that has not earned its place, and where weights undo an
    agreement: whom a judge would have chosen there is not known.
    """
    replaced = case.judged and not judge_decides and countable(case, panel.pool.answer)
    if not (case.uncontested or replaced):
        return msgspec.structs.replace(fused(panel, case), arm=GUARDED)
    chosen = vote(case.question, case.used, panel.pool.answer, best, weights)
    voted = _voted(panel, case, GUARDED, chosen, case.used, case.mark_of(chosen))
    return msgspec.structs.replace(voted, seconds=_asked_s(panel, case.used))


def _single(panel: Panel, case: Case, arm: str, answer: Answer) -> Outcome:
    return _voted(panel, case, arm, answer, (answer,), case.mark_of(answer))


def _voted(
    panel: Panel,
    case: Case,
    arm: str,
    chosen: Answer | None,
    asked: Sequence[Answer],
    mark: float,
) -> Outcome:
    return Outcome(
        question=case.question.id,
        pool=panel.name,
        arm=arm,
        by=chosen.member if chosen else "nobody",
        text=chosen.text if chosen else "",
        mark=mark,
        cost=_sum(asked),
        seconds=_slowest(asked),
        calls=len(asked),
    )


def judging_s(result: FusionResult) -> float:
    """How long the judge was at work, from its first call to the end of its last."""
    calls = result.judging
    if not calls:
        return 0.0
    return max(c.begun_s + c.seconds for c in calls) - min(c.begun_s for c in calls)


def _asked_s(panel: Panel, asked: Sequence[Answer]) -> float:
    """How long a pool takes to ask: all at once, in mode auto two and then one by one."""
    if panel.pool.mode != "auto":
        return _slowest(asked)
    labels = [panel.labels[place] for place in panel.plan.order]
    turns = sorted(asked, key=lambda answer: labels.index(answer.member))
    later = sum(answer.seconds for answer in turns[ASKED_FIRST:])
    return _slowest(turns[:ASKED_FIRST]) + later


def _slowest(answers: Sequence[Answer]) -> float:
    return max((answer.seconds for answer in answers), default=0.0)


def _sum(calls: Sequence[Answer]) -> Decimal | None:
    """What these calls cost together; None as soon as one is not known."""
    total = Decimal(0)
    for call in calls:
        if call.cost is None:
            return None
        total += call.cost
    return total
