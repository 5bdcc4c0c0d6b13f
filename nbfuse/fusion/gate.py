"""Do no harm: a merged answer is returned only if it is better than every candidate.

It is compared with them blind and in both orders. Where it can't be shown to help, the best
candidate is returned as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbfuse.core.errors import ModelError
from nbfuse.core.events import JudgeFailed
from nbfuse.core.types import Verdict
from nbfuse.fusion.candidates import Candidate, candidate, distinct, shuffled
from nbfuse.fusion.fallback import without_judge
from nbfuse.fusion.judge import affords_comparison, rank
from nbfuse.fusion.price import VERDICT
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import alike, kind_of
from nbfuse.fusion.window import squeezed

MERGED = "the merged answer"


async def let_through(
    run: Run, text: str, those: Sequence[Candidate], written: Verdict
) -> tuple[Verdict, str]:
    """The merged `text` under the verdict `written`, else the best candidate's under its own."""
    if contradicts_most(run, text, those):
        return await _without(run, those, "The merged answer contradicts what most members say")
    same = next((one for one in those if one.text.split() == text.split()), None)
    if same is not None:
        reason = f"{written.reason} It is {same.member}'s answer, word for word."
        return msgspec.structs.replace(written, reason=reason, best=same.member), text
    field = [candidate(MERGED, text, run.plan.prompt), *distinct(those)]
    ballot = squeezed(run, shuffled(field, run.shuffle_seed(), run.tag()), VERDICT)
    if not affords_comparison(run, ballot):
        ungated = f"{written.reason} Ungated: the budget left nothing to check it with."
        return msgspec.structs.replace(written, reason=ungated, confidence="low"), text
    try:
        ranking = await rank(run, ballot, "gate")
    except ModelError as error:
        run.emit(JudgeFailed(judge=run.plan.judge.label, failure=error.failure()))
        why = f"The merged answer could not be checked ({error.message})"
        return await _without(run, those, why)
    heard = {"asked_twice": ranking.asked_twice, "flips": ranking.flips}
    if ranking.best.member == MERGED and ranking.asked_twice and not ranking.tied:
        reason = f"{written.reason} It was found better than each member's, in both orders."
        return msgspec.structs.replace(written, reason=reason, **heard), text
    if ranking.best.member != MERGED and not ranking.tied:
        best = next(one for one in those if one[:2] == ranking.best[:2])
        lost = _kept(best, f"The merged answer lost to {best.member}'s")
        return msgspec.structs.replace(lost, **heard), best.text
    why = "The merged answer was not found better than the members' in both orders"
    verdict, kept = await _without(run, those, why)
    return msgspec.structs.replace(verdict, **heard), kept


def contradicts_most(run: Run, text: str, those: Sequence[Candidate]) -> bool:
    """Whether members can be compared, most agree, and the text does not say what they say.

    It is read as what they are: a text in which no such answer is to be found says something else.
    """
    said = [one.text for one in those]
    kind = kind_of(run, said)
    groups = alike(run, said, kind) if kind is not None else None
    if groups is None or 2 * len(groups[0]) <= len(those):
        return False
    both = alike(run, [text, said[groups[0][0]]], kind)
    return both is None or len(both[0]) < 2


async def _without(run: Run, those: Sequence[Candidate], why: str) -> tuple[Verdict, str]:
    _, best = await without_judge(run, those, "")
    return _kept(best, why), best.text


def _kept(best: Candidate, why: str) -> Verdict:
    return Verdict(
        decided_by="judge",
        best=best.member,
        reason=f"{why}, so {best.member}'s answer is returned as it is.",
    )
