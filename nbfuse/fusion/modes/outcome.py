"""What a mode comes to, and the outcome that all modes share: agreement."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbfuse.core.analysis import Analysis
from nbfuse.core.shapes import FieldSupport
from nbfuse.core.types import Answer, Position, Verdict
from nbfuse.fusion.agreement import by_fields
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import compared, decides, weights


class Outcome(msgspec.Struct, frozen=True):
    """The fused text and how it came about."""

    text: str
    verdict: Verdict
    analysis: Analysis | None = None
    positions: tuple[Position, ...] = ()
    provenance: tuple[tuple[str, ...], ...] = ()
    minority: tuple[Position, ...] = ()
    fields: tuple[FieldSupport, ...] = ()


def agreed(run: Run, answers: Sequence[Answer], everybody: bool) -> Outcome | None:
    """The outcome when enough members (or `everybody`) say the same; no judge is asked."""
    anchor = run.plan.anchor.label
    found = compared(run, answers)
    if found is None or run.plan.parts:
        return None
    group = found.groups[0]
    if not decides(run, found, [answer.member for answer in answers], everybody=everybody):
        return None if everybody or found.kind != "json" else _agreed_by_fields(run, answers)
    winner = anchor if anchor in group else group[0]
    verdict = Verdict(
        decided_by="agreement",
        best=winner,
        margin="clear",
        confidence="high" if found.unanimous and not run.spared else "medium",
        reason=f"{len(group)} of {len(answers) + run.spared} give the same {found.kind}.",
    )
    return Outcome(next(a.text for a in answers if a.member == winner), verdict)


def _agreed_by_fields(run: Run, answers: Sequence[Answer]) -> Outcome | None:
    """The one object that holds what most say in each of its fields, though nobody else gave it."""
    voted = by_fields(answers, run.plan.anchor.label, weights(run))
    if voted is None or not voted.whole or len(voted.fused.support) < 2:
        return None
    verdict = Verdict(
        decided_by="agreement",
        best=voted.nearest,
        margin="slight",
        confidence="medium",
        reason=f"Most agree with {voted.nearest} in each of {len(voted.fused.support)} fields.",
    )
    return Outcome(next(a.text for a in answers if a.member == voted.nearest), verdict)
