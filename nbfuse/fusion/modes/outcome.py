"""What a mode comes to, and the outcome that all modes share: agreement."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbfuse.core.analysis import Analysis
from nbfuse.core.types import Answer, Position, Verdict
from nbfuse.fusion.agreement import compare
from nbfuse.fusion.run import Run


class Outcome(msgspec.Struct, frozen=True):
    """The fused text and how it came about."""

    text: str
    verdict: Verdict
    analysis: Analysis | None = None
    positions: tuple[Position, ...] = ()
    provenance: tuple[tuple[str, ...], ...] = ()
    minority: tuple[Position, ...] = ()


def agreed(run: Run, answers: Sequence[Answer], everybody: bool) -> Outcome | None:
    """The outcome when enough members (or `everybody`) say the same; no judge is asked."""
    anchor = run.plan.anchor.label
    found = compare(answers, run.plan.pool.answer, anchor)
    if found is None or run.plan.parts:
        return None
    group = found.groups[0]
    enough = len(answers) // 2 + 1
    if len(group) < max(2, len(answers) if everybody else enough):
        return None
    if found.kind == "text" and not found.unanimous:
        return None
    winner = anchor if anchor in group else group[0]
    verdict = Verdict(
        decided_by="agreement",
        best=winner,
        margin="clear",
        confidence="high" if found.unanimous and not run.spared else "medium",
        reason=f"{len(group)} of {len(answers) + run.spared} give the same {found.kind}.",
    )
    return Outcome(next(a.text for a in answers if a.member == winner), verdict)
