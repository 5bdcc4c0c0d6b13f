"""best-of: one member's answer, verbatim."""

from __future__ import annotations

from collections.abc import Sequence

from nbfuse.core.types import Answer
from nbfuse.fusion.candidates import candidates
from nbfuse.fusion.judge import decide
from nbfuse.fusion.modes.outcome import Outcome, agreed
from nbfuse.fusion.run import Run


async def best_of(run: Run, answers: Sequence[Answer]) -> Outcome:
    """A plurality where answers can be compared, else the judge's choice."""
    if (outcome := agreed(run, answers, everybody=False)) is not None:
        return outcome
    verdict, best = await decide(run, candidates(answers, run.plan.prompt))
    return Outcome(best.text, verdict)
