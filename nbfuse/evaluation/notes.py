"""What one has to know to read an evaluation: who failed, what was left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from nbfuse.core.types import Answer, FusionResult
from nbfuse.evaluation.questions import MOST_NAMED, Asked

ONE_ANSWER = "A table holds one answer of each model, so there is no self-panel."


class Run(NamedTuple):
    """What the members of a pool said to a question, and what it came to."""

    answers: tuple[Answer, ...]
    result: FusionResult


def budget_notes(
    asked: Sequence[Asked], begun: int, limit: Decimal | None, spent: Decimal, unpriced: int
) -> list[str]:
    """What a budget has left out, and what is not known of the price."""
    notes = []
    if begun < len(asked):
        notes.append(
            f"The budget of ${limit} is spent: {len(asked) - begun} of {len(asked)} questions "
            "were not asked, and count nowhere."
        )
    elif limit is not None and spent >= limit:
        notes.append(f"The budget of ${limit} is spent: the self-panel may be left out.")
    if unpriced:
        notes.append(f"The price of {unpriced} calls is not known; it is not in what was spent.")
    return notes


def grader_notes(troubles: Mapping[str, str], begun: int) -> list[str]:
    """Which questions could not be graded."""
    if not troubles:
        return []
    name, trouble = next(iter(troubles.items()))
    return [
        f"{len(troubles)} of {begun} questions could not be graded, and count nowhere "
        f"({_some(list(troubles))}); on {name} the grader failed: {trouble}."
    ]


def failure_notes(pool: str, runs: Mapping[str, Run]) -> list[str]:
    """Who of a pool did not answer, and where nobody did; `runs` are by question."""
    failed, why = Counter[str](), dict[str, str]()
    for run in runs.values():
        for answer in run.answers:
            if not answer.usable:
                failed[answer.member] += 1
                message = answer.failure.message if answer.failure else "it said nothing."
                why.setdefault(answer.member, message)
    notes = []
    for member, count in failed.items():
        often = f"all {count}" if count == len(runs) else f"{count} of {len(runs)}"
        notes.append(
            f"{member} (pool {pool}) failed on {often} questions, which count as wrong for it: "
            f"{why[member]}"
        )
    nobody = [name for name, run in runs.items() if not any(a.usable for a in run.answers)]
    if nobody:
        what = "1 question" if len(nobody) == 1 else f"{len(nobody)} questions"
        notes.append(f"Nobody in pool {pool} answered {what}, wrong for all: {_some(nobody)}.")
    return notes


def unheard(result: FusionResult) -> Answer | None:
    """The call that tells why a judge was not heard: it could not be asked, or broke off."""
    lost = [call for call in result.judging if is_lost(call)]
    return lost[0] if lost and len(lost) == len(result.judging) else None


def is_lost(call: Answer) -> bool:
    """Whether nothing came of a call for a reason that is not what was said."""
    return call.failure is not None and call.failure.kind != "BadResponseError"


def judge_notes(pool: str, runs: Mapping[str, Run]) -> list[str]:
    """Where the judge of a pool was not heard, and why; `runs` are by question."""
    asked = [run.result for run in runs.values() if run.result.judging]
    lost = [call for result in asked if (call := unheard(result)) is not None]
    if not lost:
        return []
    message = lost[0].failure.message if lost[0].failure else ""
    return [
        f"{lost[0].member} (judge of pool {pool}) was not heard on {len(lost)} of the {len(asked)} "
        f"questions that it was asked, which were fused without it: {message}"
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")
