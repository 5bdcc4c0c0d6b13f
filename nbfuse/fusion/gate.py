"""Do no harm: a merged answer is returned only if it is better than the best candidate.

The two are compared blind and in both orders. Where the merged one can't be shown to help, the
candidate is returned as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbfuse.core.errors import ModelError
from nbfuse.core.events import JudgeFailed
from nbfuse.core.types import Verdict
from nbfuse.fusion.candidates import Candidate, candidate, shuffled
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
    _, best = await without_judge(run, those, "")
    if contradicts_most(run, text, those):
        return _kept(best, "The merged answer contradicts what most members say"), best.text
    if text.split() == best.text.split():
        reason = f"{written.reason} It is {best.member}'s answer, word for word."
        return msgspec.structs.replace(written, reason=reason, best=best.member), text
    merged = candidate(MERGED, text, run.plan.prompt)
    pair = squeezed(run, shuffled([merged, best], run.shuffle_seed(), run.tag()), VERDICT)
    if not affords_comparison(run, pair):
        ungated = f"{written.reason} Ungated: the budget left nothing to check it with."
        return msgspec.structs.replace(written, reason=ungated, confidence="low"), text
    try:
        ranking = await rank(run, pair, "gate")
    except ModelError as error:
        run.emit(JudgeFailed(judge=run.plan.judge.label, failure=error.failure()))
        return _kept(best, f"The merged answer could not be checked ({error.message})"), best.text
    heard = {"asked_twice": ranking.asked_twice, "flips": ranking.flips}
    if ranking.best.member == MERGED and ranking.asked_twice and not ranking.tied:
        reason = f"{written.reason} In both orders it was found better than {best.member}'s."
        return msgspec.structs.replace(written, reason=reason, **heard), text
    lost = "lost to" if not ranking.tied else "was not found better than"
    verdict = _kept(best, f"The merged answer {lost} {best.member}'s when both were compared")
    return msgspec.structs.replace(verdict, **heard), best.text


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


def _kept(best: Candidate, why: str) -> Verdict:
    return Verdict(
        decided_by="judge",
        best=best.member,
        reason=f"{why}, so {best.member}'s answer is returned as it is.",
    )
