"""auto: two members first, more only while they disagree, and a judge only for what is disputed.

Adaptive consistency (Aggarwal et al. 2023, arXiv:2305.11860) over different models. With members of
this machine first it is a cascade. Who is asked is decided in `dispatch`; this fuses what came.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbfuse.core.types import Answer
from nbfuse.fusion.candidates import candidates
from nbfuse.fusion.judge import decide
from nbfuse.fusion.modes.outcome import Outcome, agreed
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import alike


async def auto(run: Run, answers: Sequence[Answer]) -> Outcome:
    """A plurality, else the judge's choice among one answer for each position."""
    if (outcome := agreed(run, answers, everybody=False)) is not None:
        return outcome
    said = candidates(answers, run.plan.prompt)
    groups = alike(run, [one.text for one in said]) or [[i] for i in range(len(said))]
    verdict, best = await decide(run, [said[group[0]] for group in groups], said)
    return Outcome(best.text, verdict)
