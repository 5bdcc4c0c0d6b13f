"""One usable answer: nothing can be compared, so it is returned as it is, unjudged.

With `check` the judge says what it finds wrong with it; in a debate its author looks for errors of
its own, and may correct one that it can show.
"""

from __future__ import annotations

import msgspec

from nbfuse.core.errors import ModelError
from nbfuse.core.events import JudgeFailed, JudgeStarted
from nbfuse.core.types import Answer, Position, Score, Verdict
from nbfuse.fusion.argue import self_critique
from nbfuse.fusion.candidates import Ballot, Candidate, candidate
from nbfuse.fusion.compact import ACCEPTABLE, p_right_of_all
from nbfuse.fusion.modes.outcome import Outcome
from nbfuse.fusion.price import VERDICT
from nbfuse.fusion.rubric import read_ballot
from nbfuse.fusion.run import Run
from nbfuse.fusion.window import squeezed


async def alone(run: Run, answer: Answer) -> Outcome:
    """The outcome when one member alone has answered."""
    broken = "" if answer.status == "complete" else ", and its answer broke off"
    verdict = Verdict(
        decided_by="only survivor",
        best=answer.member,
        reason=f"Only {answer.member} answered{broken}, so nothing could be compared.",
    )
    if not run.plan.pool.check:
        return Outcome(answer.text, verdict)
    mine = candidate(answer.member, answer.text, run.plan.prompt, answer.status != "complete")
    positions: tuple[Position, ...] = ()
    if run.plan.pool.mode == "debate":
        member = next(m for m in run.plan.members if m.label == answer.member)
        positions = (await self_critique(run, member, mine),)
        mine = candidate(answer.member, positions[0].after, run.plan.prompt)
    return Outcome(mine.text, await reviewed(run, mine, verdict), positions=positions)


async def reviewed(run: Run, mine: Candidate, verdict: Verdict) -> Verdict:
    """`verdict` with what the judge finds wrong with the one answer; as it is where it fails."""
    try:
        return await _review(run, mine, verdict)
    except ModelError as error:
        run.emit(JudgeFailed(judge=run.plan.judge.label, failure=error.failure()))
        run.notes.append(f"Not checked: {error.message}")
    return verdict


async def _review(run: Run, mine: Candidate, verdict: Verdict) -> Verdict:
    judge = run.plan.judge
    run.emit(JudgeStarted(judge=judge.label, task="check"))
    if judge.info.form == "compact":
        (found,) = await p_right_of_all(run, judge, "check", [(run.plan.prompt, mine.shown)])
        return msgspec.structs.replace(
            verdict,
            none_acceptable=found < ACCEPTABLE,
            reason=f"{verdict.reason} {judge.label} finds it right with probability {found:.2f}.",
            scores=(Score(member=mine.member, p_right=round(found, 4)),),
            form="compact",
        )
    reading = await read_ballot(
        run, judge, squeezed(run, Ballot((mine,), None, run.tag()), VERDICT), "check"
    )
    said = reading.ballot.with_names(reading.ruling.reason)
    return msgspec.structs.replace(
        verdict,
        none_acceptable=reading.ruling.verdict.none_acceptable,
        reason=f"{verdict.reason} {judge.label}: {said}",
        scores=reading.scores,
        form="full",
    )
