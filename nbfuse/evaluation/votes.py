"""Votes over answers that are there, folds, and whose judge has earned its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbfuse.core.measured import ENOUGH, Measured, Record, Share
from nbfuse.core.types import Answer, AnswerKind, FusionResult
from nbfuse.evaluation.grading import RIGHT
from nbfuse.evaluation.questions import Question, digest
from nbfuse.fusion.agreement import compare

FOLDS = 5


class Case(NamedTuple):
    """One question in one pool: what its members said and it came to, with marks from 0 to 1.

    `kind` is how answers are graded, and so the best that a vote can compare them by.
    """

    question: Question
    kind: AnswerKind
    answers: tuple[Answer, ...]
    marks: tuple[float, ...]
    result: FusionResult
    mark: float

    @property
    def judged(self) -> bool:
        """Whether the members disputed it, and the judge has decided."""
        return self.result.verdict.decided_by in ("judge", "merge")

    @property
    def uncontested(self) -> bool:
        """Whether enough members agreed, and nobody was asked about it."""
        return self.result.verdict.decided_by == "agreement" and not self.result.judging

    @property
    def used(self) -> tuple[Answer, ...]:
        """The answers that the pool needed."""
        return used(self.answers, self.result)

    def mark_of(self, answer: Answer | None) -> float:
        """The mark of one of its answers; nobody's answer is wrong."""
        if answer is None:
            return 0.0
        return next(
            mark
            for a, mark in zip(self.answers, self.marks, strict=True)
            if a.member == answer.member
        )

    def answer_of(self, member: str) -> Answer:
        """What a member said."""
        return next(answer for answer in self.answers if answer.member == member)


def used(answers: Sequence[Answer], result: FusionResult) -> tuple[Answer, ...]:
    """The answers that a run would have asked for: in mode auto not all that are there."""
    reached = {answer.member for answer in result.answers if answer.judged}
    return tuple(answer for answer in answers if answer.member in reached) or tuple(answers)


def vote(
    question: Question,
    answers: Sequence[Answer],
    kind: AnswerKind | None,
    anchor: str,
    weights: Mapping[str, float] | None = None,
) -> Answer | None:
    """The plurality's answer, ties going to the anchor's group, else to the first; None for none.

    Where nothing can be compared, the anchor's, else the first.
    """
    usable = {answer.member: answer for answer in answers if answer.usable}
    if not usable:
        return None
    found = compare(list(usable.values()), kind, anchor, question.text, weights)
    group = found.groups[0] if found is not None else tuple(usable)
    return usable[anchor if anchor in group else group[0]]


def countable(case: Case, kind: AnswerKind | None) -> bool:
    """Whether a run could do without its judge: what its members said can be compared."""
    usable = [answer for answer in case.answers if answer.usable]
    found = compare(usable, kind, "", case.question.text) if usable else None
    return found is not None and found.countable


def fold_of(question: Question, seed: int) -> int:
    """Which of the folds a question is in: a hash of its id, the same in every evaluation."""
    return int(digest(str(seed), question.id), 16) % FOLDS


def _outside(cases: Sequence[Case], fold: int, seed: int) -> list[Case]:
    return [case for case in cases if fold_of(case.question, seed) != fold]


def best_members(
    cases: Sequence[Case], names: Sequence[str], anchor: str, seed: int
) -> tuple[str, ...]:
    """For each fold the member that did clearly best on the other ones, else the anchor."""

    def best(fold: int) -> str:
        others = _outside(cases, fold, seed)
        return clearly_best(others, names, anchor)

    return tuple(map(best, range(FOLDS)))


def clearly_best(cases: Sequence[Case], names: Sequence[str], anchor: str) -> str:
    """The member that did best, if it is better than the anchor by more than a standard error.

    Else the anchor (the rule of Breiman et al. 1984): among members that are alike, who is best
    here is for that very reason worse elsewhere, and all that is chosen so would look weaker than
    it is.
    """
    leading = best_of(cases, names, anchor)
    mine, its = names.index(leading), names.index(anchor)
    leads = [case.marks[mine] - case.marks[its] for case in cases]
    error = math.sqrt(sum(lead * lead for lead in leads))
    return leading if sum(leads) > error else anchor


def best_of(cases: Sequence[Case], names: Sequence[str], anchor: str) -> str:
    """The member that did best on these questions; ties go to the anchor, else to the first."""
    sums = [sum(case.marks[i] for case in cases) for i in range(len(names))]
    leading = [name for name, total in zip(names, sums, strict=True) if total == max(sums)]
    return anchor if anchor in leading else leading[0]


def measured_members(cases: Sequence[Case], names: Sequence[str], anchor: str) -> Measured:
    """How often each member was right, and whether a vote pays, and to weigh it."""
    shares = {
        name: Share(sum(case.marks[i] >= RIGHT for case in cases), len(cases))
        for i, name in enumerate(names)
    }
    weights = dict(zip(names, Measured(shares).weights(names), strict=True))

    def right(weigh: Mapping[str, float] | None) -> int:
        chosen = [(c, vote(c.question, c.answers, c.kind, anchor, weigh)) for c in cases]
        return sum(case.mark_of(answer) >= RIGHT for case, answer in chosen)

    weighed, plain, count = right(weights), right(None), len(cases)
    best = clearly_best(cases, names, anchor)
    alone = Record(shares[best].right, max(weighed, plain), count)
    return Measured(shares, weighing=Record(weighed, plain, count), alone={best: alone})


def weights_of(
    cases: Sequence[Case], names: Sequence[str], best: Sequence[str], seed: int
) -> tuple[Mapping[str, float], ...]:
    """For each fold, what a vote of each member weighs by what it did on the other ones."""

    def weigh(fold: int) -> dict[str, float]:
        others = _outside(cases, fold, seed)
        found = measured_members(others, names, best[fold])
        return dict(zip(names, found.weights(names), strict=True))

    return tuple(map(weigh, range(FOLDS)))


def record(
    cases: Sequence[Case],
    pool_kind: AnswerKind | None,
    best: Sequence[str],
    weights: Sequence[Mapping[str, float]],
    seed: int,
) -> Record:
    """How the judge did where a vote could have decided, and how the anchored vote would have.

    The vote compares as the pool does (by `pool_kind`), since it is to stand in for the judge.
    """
    judged = [case for case in cases if case.judged and countable(case, pool_kind)]
    right = 0
    for case in judged:
        fold = fold_of(case.question, seed)
        chosen = vote(case.question, case.answers, pool_kind, best[fold], weights[fold])
        right += case.mark_of(chosen) >= RIGHT
    return Record(
        right=sum(case.mark >= RIGHT for case in judged), vote_right=right, asked=len(judged)
    )


def trusted(
    cases: Sequence[Case],
    pool_kind: AnswerKind | None,
    best: Sequence[str],
    weights: Sequence[Mapping[str, float]],
    seed: int,
) -> tuple[bool, ...]:
    """For each fold, whether the judge may decide: not where a vote did about as well."""

    def earned(fold: int) -> bool:
        others = _outside(cases, fold, seed)
        found = record(others, pool_kind, best, weights, seed)
        return found.asked < ENOUGH or found.clearly_better

    return tuple(map(earned, range(FOLDS)))
