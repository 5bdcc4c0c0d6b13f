"""Runs a fusion. `stream` is the only thing that does; everything else reads its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from decimal import Decimal

import msgspec

from nbfuse._version import __version__
from nbfuse.core.errors import no_answer
from nbfuse.core.events import Event, RunFinished, RunPlanned, TokenPrice
from nbfuse.core.fence import stay_inside
from nbfuse.core.measured import Measured
from nbfuse.core.pool import pool_settings
from nbfuse.core.request import Request
from nbfuse.core.stamp import now
from nbfuse.core.types import Answer, FusionResult, RunStatus, Verdict
from nbfuse.fusion.ahead import Ahead
from nbfuse.fusion.appeals import find_appeal
from nbfuse.fusion.candidates import candidates
from nbfuse.fusion.confidence import grounded
from nbfuse.fusion.dispatch import Dispatch
from nbfuse.fusion.fallback import fall_back
from nbfuse.fusion.modes import FIRST_READING, MODES
from nbfuse.fusion.modes.alone import alone
from nbfuse.fusion.modes.outcome import Outcome
from nbfuse.fusion.modes.structured import structured
from nbfuse.fusion.plan import Member, Plan, make_plan
from nbfuse.fusion.run import Run
from nbfuse.providers.registry import Target, resolve


async def stream(
    request: Request,
    stop: asyncio.Event | None = None,
    skip: asyncio.Queue[str] | None = None,
    *,
    measured: Measured | None = None,
    entropy: int | None = None,
    resolve: Callable[[str], Target] = resolve,
    look: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[Event]:
    """Yield the events of one fusion as they happen, from `RunPlanned` to `RunFinished`.

    `measured` is what is known of these models; the same `entropy` draws the same by chance;
    `resolve` finds who answers a spec, and `look` is awaited before what has arrived is counted.
    Setting `stop` ends the run early: its last event holds what had arrived; a member whose name is
    put into `skip` is stopped alone, and the run goes on. Closing the iterator cancels every
    request without a last event. Raises `PromptError`, `ConfigError`, `PrivacyError` or
    `BudgetError` before anything is spent, and `NoAnswerError` when every member failed.
    """
    begun = asyncio.get_running_loop().time()
    stopping = asyncio.create_task((stop or asyncio.Event()).wait())
    planning = asyncio.create_task(make_plan(request, resolve))
    tasks: set[asyncio.Task[object]] = {stopping, planning}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not planning.done():
            return
        run = Run(planning.result(), begun, entropy, measured, look)
        driver = asyncio.create_task(_drive(run, skip or asyncio.Queue()))
        tasks.add(driver)
        driver.add_done_callback(lambda _: run.queue.put_nowait(None))
        stopping.add_done_callback(lambda _: driver.cancel())
        while (event := await run.queue.get()) is not None:
            yield event
        if not driver.cancelled():
            driver.result()  # raises what the run raised
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _drive(run: Run, skip: asyncio.Queue[str]) -> None:
    if run.plan.pool.local_only:
        stay_inside()
    started_at = now()
    run.emit(announcement(run.plan, started_at))
    run.ahead = _ahead(run)
    dispatch = Dispatch(run)
    skipping = asyncio.create_task(_skip(dispatch, skip))
    outcome: Outcome | None = None
    status: RunStatus = "stopped"
    try:
        answers = await dispatch.collect()
        if answers:
            outcome = await _fuse(run, answers)
        status = "complete" if outcome else "failed"
    finally:
        skipping.cancel()
        # after a cancellation too: closing a run ends all that it started, and what had arrived
        # is in the last event for whoever still reads
        if run.ahead is not None:
            run.ahead.stop()
        await dispatch.settle()
        result = _result(run, dispatch, outcome, status, started_at)
        run.emit(RunFinished(result=result))
    if outcome is None:
        raise no_answer(dispatch.answers, result)


async def _skip(dispatch: Dispatch, names: asyncio.Queue[str]) -> None:
    while True:
        await dispatch.leave(await names.get())


def _ahead(run: Run) -> Ahead | None:
    """A reader for the judge, where reading ahead costs nothing and may be of use."""
    plan = run.plan
    judge = plan.judge
    if not (judge.info.remembers and judge.info.form == "full" and len(plan.members) > 1):
        return None
    if plan.pool.seed is not None or plan.pool.answer is not None or plan.schema is not None:
        return None  # the seed makes the order; and who agrees needs no judge
    return Ahead(judge, plan.prompt, FIRST_READING[plan.pool.mode], run.tag())


async def _fuse(run: Run, answers: Sequence[Answer]) -> Outcome | None:
    wanted = run.plan.quorum
    if len(answers) < wanted and run.clock() >= run.members_end:
        run.notes.append(
            f"Below the quorum: {len(answers)} of {wanted} wanted answers came in time."
        )
    try:
        if run.plan.schema is not None:
            return await structured(run, answers, run.plan.schema)
        if len(answers) == 1:
            return await alone(run, answers[0])
        return await MODES[run.plan.pool.mode](run, answers)
    except Exception as error:  # our own mistake, or a judge's oddity: the answers must not be lost
        run.notes.append(f"Fusing failed ({type(error).__name__}: {error}); please report this.")
        verdict, best = fall_back(
            run, candidates(answers, run.plan.prompt), f"Fusing failed: {error}"
        )
        return Outcome(best.text, verdict)


def announcement(plan: Plan, started_at: str = "") -> RunPlanned:
    """The plan as the first event of its run."""
    return RunPlanned(
        prompt=plan.prompt,
        pool=plan.pool.name,
        members=tuple(member.label for member in plan.members),
        specs=tuple(member.spec for member in plan.members),
        judge=plan.judge.spec,
        mode=plan.pool.mode,
        price=plan.price,
        prices=tuple(map(_token_price, plan.members)),
        parts=plan.parts,
        notes=plan.notes,
        settings=pool_settings(plan.pool),
        started_at=started_at,
    )


def _token_price(member: Member) -> TokenPrice | None:
    prompt, completion = member.info.prompt_price, member.info.completion_price
    if member.provider.local:
        return TokenPrice(Decimal(0), Decimal(0))
    return None if prompt is None or completion is None else TokenPrice(prompt, completion)


def _result(
    run: Run, dispatch: Dispatch, outcome: Outcome | None, status: RunStatus, started_at: str
) -> FusionResult:
    answers = dispatch.answers
    if outcome is None:
        outcome = _unfused(run, answers, status)
    verdict = grounded(run, _flagged(run, outcome.verdict, answers), answers)
    return FusionResult(
        run=run.id,
        prompt=run.plan.prompt,
        mode=run.plan.pool.mode,
        text=outcome.text,
        verdict=verdict,
        answers=answers,
        judging=tuple(call for _, call in sorted(run.judging_calls.items())),
        analysis=outcome.analysis or run.analysis,
        positions=outcome.positions,
        provenance=outcome.provenance,
        minority=outcome.minority,
        parts=run.plan.parts,
        fields=outcome.fields,
        answer_schema=run.plan.schema.plain if run.plan.schema else {},
        answer_model=run.plan.schema.model_name if run.plan.schema else "",
        images=len(run.plan.images),
        tools=tuple(tool.name for tool in run.plan.tools),
        pool=run.plan.pool.name,
        settings=pool_settings(run.plan.pool),
        judge=run.plan.judge.spec,
        status=status,
        notes=tuple(run.notes),
        seconds=run.clock(),
        started_at=started_at,
        version=__version__,
    )


def _flagged(run: Run, verdict: Verdict, answers: Sequence[Answer]) -> Verdict:
    """The verdict, and a note, with who speaks to the judge, where one was asked."""
    if not run.judging_calls:
        return verdict
    found = {a.member: find_appeal(a.text, run.plan.prompt) for a in answers if a.judged}
    found = {member: words for member, words in found.items() if words}
    if not found:
        return verdict
    for member, words in found.items():
        run.notes.append(f"{member} speaks to the judge (“{words}”); the judge did not see that.")
    return msgspec.structs.replace(verdict, flagged=tuple(found))


def _unfused(run: Run, answers: Sequence[Answer], status: RunStatus) -> Outcome:
    """What a run comes to that was stopped before its verdict, or that nobody answered."""
    whole = [answer for answer in answers if answer.usable and answer.status == "complete"]
    if status == "failed" or not whole:
        reason = (
            "No member answered." if status == "failed" else "Stopped before anyone had answered."
        )
        return Outcome("", Verdict(decided_by="nobody", reason=reason))
    verdict, best = fall_back(
        run, candidates(whole, run.plan.prompt), "Stopped before the verdict."
    )
    return Outcome(best.text, msgspec.structs.replace(verdict, decided_by="stopped"))
