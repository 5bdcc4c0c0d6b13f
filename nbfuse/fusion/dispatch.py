"""Asks all members at once and collects answers by quorum, grace and deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import msgspec

from nbfuse.core.call import Call, Chunk
from nbfuse.core.errors import BadRequestError, BadResponseError, DeadlineError, ModelError
from nbfuse.core.events import (
    MemberDelta,
    MemberFailed,
    MemberFinished,
    MemberLate,
    MemberStarted,
    QuorumReached,
)
from nbfuse.core.pool import Pool
from nbfuse.core.types import Answer
from nbfuse.fusion.calling import Conversation
from nbfuse.fusion.filling import Filling
from nbfuse.fusion.plan import SEEING, Member
from nbfuse.fusion.price import ASKED_FIRST
from nbfuse.fusion.run import Draft, Run
from nbfuse.fusion.savings import note_saved
from nbfuse.fusion.vote import compared, decides, run_code, weights

GRACE_SHARE, LEAST_GRACE_S, MOST_GRACE_S = 0.25, 1.0, 5.0
SELF_PANEL_TEMPERATURE = 0.8  # three samples at temperature 0 would be one


def grace(pool: Pool, so_far: float) -> float:
    """Seconds that stragglers get when a quorum has answered after `so_far` seconds."""
    if pool.grace_s is not None:
        return pool.grace_s
    return min(max(LEAST_GRACE_S, GRACE_SHARE * so_far), MOST_GRACE_S)


class Dispatch:
    """The members' tasks, from the first request until the run closes."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._drafts = {m.label: Draft(m, run.clock) for m in run.plan.members}
        self._ended: dict[str, Answer] = {}
        self._closed = False  # to judging: what comes now is late
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._waiting = list(run.plan.order)
        first = ASKED_FIRST if run.plan.pool.mode == "auto" else len(self._waiting)
        for _ in range(min(first, len(self._waiting))):
            self._start()

    def _start(self) -> None:
        """Ask the next member, or take its answer where it is given."""
        place = self._waiting.pop(0)
        member, run = self._run.plan.members[place], self._run
        given = run.plan.given.get(member.label)
        if given is None:
            self._tasks[asyncio.create_task(self._ask(member, place))] = member.label
        else:
            answer = self._ended[member.label] = msgspec.structs.replace(given, judged=True)
            run.emit(_ending(member.label, answer))

    async def leave(self, label: str) -> None:
        """Stop one member alone: what it has said is kept, and not judged."""
        tasks = {task for task, name in self._tasks.items() if name == label and not task.done()}
        for task in tasks:
            await cancel({task})
            if label in self._ended:
                continue  # it had answered: what was stopped is the run of its code
            answer = msgspec.structs.replace(self._drafts[label].answer("stopped"), judged=False)
            self._ended[label] = answer
            self._run.emit(MemberLate(member=label, answer=answer))

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every member's answer as it stands now, in the order of the pool."""
        there = {**self._run.plan.given, **self._ended}
        unasked = {self._run.plan.members[place].label for place in self._waiting}
        return tuple(
            msgspec.structs.replace(
                there.get(label) or draft.answer("not asked" if label in unasked else "stopped"),
                judged=label in self._ended and self._ended[label].judged,
            )
            for label, draft in self._drafts.items()
        )

    async def collect(self) -> list[Answer]:
        """Wait for enough answers; return the usable ones and close the doors behind them."""
        run, pending = self._run, set(self._tasks)
        for answer in run.plan.given.values():
            await run_code(run, answer)
        end, in_grace = run.members_end, run.plan.pool.mode == "auto"  # nobody straggles there
        while (pending or self._waiting) and run.clock() < end:
            if pending:
                _, pending = await asyncio.wait(
                    pending, timeout=end - run.clock(), return_when=asyncio.FIRST_COMPLETED
                )
                await run.look()
                pending = {task for task in pending if not task.done()}
            if (pending or self._waiting) and (agreeing := self._agreeing()):
                await self._spare(agreeing)
                break
            if not pending and self._waiting:
                self._start()
                pending = {task for task in self._tasks if not task.done()}
            whole = sum(a.usable and a.failure is None for a in self._ended.values())
            if pending and not in_grace and whole >= run.plan.quorum:
                grace_s, in_grace = grace(run.plan.pool, run.clock()), True
                end = min(end, run.clock() + grace_s)
                run.emit(QuorumReached(answers=whole, grace_s=grace_s))
        if run.clock() >= run.members_end:
            await self._cut(pending)
        self._closed = True
        return [
            answer
            for answer in self.answers
            if answer.usable and answer.member in self._ended and answer.status != "stopped"
        ]

    def _agreeing(self) -> int:
        """How many give the same answer, where nobody can outvote them any more; else 0.

        In mode auto only those have a vote that have been asked, and who outweighs all of them.
        """
        plan = self._run.plan
        if plan.pool.mode not in ("best-of", "auto"):
            return 0
        found = compared(self._run, list(self._ended.values()))
        if found is None or not found.countable:
            return 0
        unasked = [plan.members[place].label for place in self._waiting]
        voters = voting(weights(self._run), unasked)
        enough = decides(self._run, found, voters, least=plan.pool.quorum or 2)
        return len(found.groups[0]) if enough else 0

    async def _spare(self, agreeing: int) -> None:
        """Stop who still writes, and ask nobody else, since enough agree."""
        spared = [m for m in self._run.plan.members if m.label not in self._ended]
        for member in spared:
            await self.leave(member.label)
        note_saved(self._run, agreeing, spared, self._ended)

    async def _cut(self, pending: set[asyncio.Task[None]]) -> None:
        """The deadline: what the members have said so far counts, and is marked."""
        await cancel(pending)
        for task in pending:
            label, limit = self._tasks[task], self._run.plan.pool.deadline_s
            if label in self._ended:  # only its code still ran
                continue
            error = DeadlineError(
                f"{label} had not finished at the deadline of {limit:g} s.",
                "Raise the deadline, or leave it out.",
            )
            self._fail(label, error)

    async def settle(self) -> None:
        """End the run: stop who still writes, and report what had arrived as late."""
        waiting = {task for task in self._tasks if not task.done()}
        await cancel(waiting)
        for task in waiting:
            label = self._tasks[task]
            if label in self._ended:  # only its code still ran
                continue
            answer = msgspec.structs.replace(
                self._drafts[label].answer("stopped"), judged=not self._closed
            )
            self._ended[label] = answer
            if self._closed:
                self._run.emit(MemberLate(member=label, answer=answer))

    async def _ask(self, member: Member, place: int) -> None:
        label, run = member.label, self._run
        draft = self._drafts[label]
        run.emit(MemberStarted(member=member.label))

        def heard(chunk: Chunk) -> None:
            if chunk.text or chunk.reasoning:
                delta = MemberDelta(member=label, text=chunk.text, reasoning=chunk.reasoning)
                run.emit(delta)

        if run.plan.images and member.info.vision is False:
            self._fail(label, BadRequestError(f"{label} can't see pictures.", SEEING))
            return
        try:
            for i, part in enumerate(run.plan.parts or (run.plan.prompt,)):
                if i > 0:
                    draft.feed(newline := Chunk(text="\n"))
                    heard(newline)
                if run.plan.parts:
                    draft.begin_part()
                call = self._call(member, place, part)
                if run.plan.schema is not None:
                    await Filling(run, member, run.plan.schema, draft, heard).ask(call)
                elif run.plan.tools:
                    await Conversation(run, member, call, draft, heard).hold()
                else:
                    await run.stream(member, call, draft, heard)
        except ModelError as error:
            self._fail(member.label, error)
            return
        answer = draft.answer()
        if not answer.usable:
            empty = f"{member.label} said nothing."
            if answer.status == "cut off":
                empty = f"{member.label} used up its tokens before it said anything."
            self._fail(
                member.label, BadResponseError(empty, "Raise --max-tokens, or leave it out.")
            )
        else:
            self._end(member.label, answer)
            await run_code(run, answer)

    def _call(self, member: Member, place: int, text: str) -> Call:
        pool, specs = self._run.plan.pool, [m.spec for m in self._run.plan.members]
        repeated = specs.count(member.spec) > 1
        temperature, seed = pool.temperature, pool.seed
        if repeated and temperature is None:
            temperature = SELF_PANEL_TEMPERATURE
        if repeated and seed is not None:
            seed += specs[:place].count(member.spec)
        return Call(
            model=member.model,
            messages=self._run.plan.messages(text),
            temperature=temperature,
            top_p=pool.top_p,
            max_tokens=pool.max_tokens,
            seed=seed,
        )

    def _end(self, label: str, answer: Answer) -> None:
        self._ended[label] = msgspec.structs.replace(answer, judged=not self._closed)
        kind = MemberLate if self._closed else MemberFinished
        self._run.emit(kind(member=label, answer=self._ended[label]))
        self._tell(label)

    def _fail(self, label: str, error: ModelError) -> None:
        draft, failure = self._drafts[label], error.failure()
        answer = draft.answer("partial", failure)
        if not answer.text.strip():
            answer = draft.answer("failed", failure)
        self._ended[label] = msgspec.structs.replace(answer, judged=not self._closed)
        self._run.emit(MemberFailed(member=label, answer=self._ended[label], failure=failure))
        self._tell(label)

    def _tell(self, label: str) -> None:
        """Let the judge read an answer that it will see."""
        if self._run.ahead is not None and not self._closed:
            self._run.ahead.hear(self._ended[label])


def voting(weigh: Mapping[str, float], unasked: Collection[str]) -> list[str]:
    """Whose votes count: those of all who were asked, and of who could outvote them all alone."""
    asked = sum(weight for member, weight in weigh.items() if member not in unasked)
    return [m for m, weight in weigh.items() if m not in unasked or weight > asked]


def _ending(label: str, answer: Answer) -> MemberFinished | MemberFailed:
    if answer.failure is not None:
        return MemberFailed(member=label, answer=answer, failure=answer.failure)
    return MemberFinished(member=label, answer=answer)


async def cancel(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have let go of their connections."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
