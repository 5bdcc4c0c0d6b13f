"""What a pool need not pay: members that early stopping spares, and a judge where members agree."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from nbfuse.core.measured import agreement_class
from nbfuse.core.pool import Pool
from nbfuse.evaluation.votes import Case
from nbfuse.fusion.agreement import compare


def spared(pool: Pool, cases: Sequence[Case], anchor: str) -> int:
    """Calls saved: members that would have been stopped early, and the judge's where none was.

    A judge that was not asked would have made as many calls as it makes elsewhere, at least one.
    """
    made = [len(case.result.judging) for case in cases if case.judged]
    of_judge = statistics.fmean(made) if made else 1.0
    agreed = sum(
        case.result.verdict.decided_by == "agreement" and not case.result.judging for case in cases
    )
    return sum(_members(pool, case, anchor) for case in cases) + round(agreed * of_judge)


def _members(pool: Pool, case: Case, anchor: str) -> int:
    """How many would still have written when nobody could outvote the others any more.

    In mode auto: how many were not asked. The rule is that of a run (`nbfuse.fusion.dispatch`),
    in the order in which answers came.
    """
    count = len(case.answers)
    if pool.mode == "auto":
        return count - len(case.used)
    if pool.mode != "best-of":
        return 0
    most = max(2, count // 2 + 1, pool.quorum or 0)
    arrived = sorted(case.answers, key=lambda answer: answer.seconds)
    for here in range(most, count):
        found = compare(arrived[:here], pool.answer, anchor, case.question.text)
        if found is not None and found.countable and len(found.groups[0]) >= most:
            return count - here
    return 0


def class_of(case: Case, pool: Pool, anchor: str) -> str | None:
    """How its members agree; None where their answers can't be compared."""
    groups = case.result.verdict.support
    if not groups:
        found = compare(
            [a for a in case.answers if a.usable], pool.answer, anchor, case.question.text
        )
        if found is None:
            return None
        groups = tuple(map(len, found.groups))
    return agreement_class(groups)
