"""The state of one run: its plan, its clock, its event queue, and how a model is asked in it.

Everything that changes during a run lives here. Events go through one queue, because late members
and the judge speak at the same time: a chain of generators could not carry both.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal

import msgspec

from nbfuse.core.analysis import Analysis
from nbfuse.core.call import Call, Chunk, Usage
from nbfuse.core.errors import (
    BadRequestError,
    BadResponseError,
    DeadlineError,
    ModelError,
    NbfuseError,
)
from nbfuse.core.events import Event, JudgeStarted
from nbfuse.core.measured import Measured
from nbfuse.core.stamp import new_name
from nbfuse.core.types import Answer, AnswerStatus, Failure, ToolCall
from nbfuse.fusion.plan import Member, Plan
from nbfuse.fusion.sandbox import Ran

if typing.TYPE_CHECKING:
    from nbfuse.fusion.ahead import Ahead

MEMBERS_SHARE = 0.8  # of the deadline: the rest is the judge's
CUT_OFF = ("length", "content_filter")


class Draft:
    """An answer while it arrives; `answer()` can be taken at any moment, an interrupt included."""

    def __init__(self, member: Member, clock: Callable[[], float], task: str = "") -> None:
        self._member, self._clock, self._begun, self._task = member, clock, clock(), task
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._usages: list[Usage] = []
        self._tool_calls: list[ToolCall] = []
        self._parts: list[int] = []  # where in `_text` each part begins
        self._first_token_s: float | None = None
        self._finish: str | None = None
        self._generation_id: str | None = None
        self._model: str | None = None
        self._provider: str | None = None

    def feed(self, chunk: Chunk) -> None:
        """Take in what arrived."""
        if chunk.text or chunk.reasoning:
            self._text.append(chunk.text)
            self._reasoning.append(chunk.reasoning)
            if self._first_token_s is None:
                self._first_token_s = self._clock() - self._begun
        if self._finish != "content_filter":  # which a refusal has, before the end of its text
            self._finish = chunk.finish or self._finish
        self._generation_id = chunk.generation_id or self._generation_id
        self._model = chunk.model or self._model
        self._provider = chunk.provider or self._provider

    def bill(self, usage: Usage) -> None:
        """Take in the usage of one call: its last report, since some servers count up."""
        self._usages.append(usage)

    def begin_part(self) -> None:
        """What follows answers the next part of the question."""
        self._parts.append(len(self._text))

    def note_call(self, call: ToolCall) -> None:
        """Keep a call of a tool with the answer."""
        self._tool_calls.append(call)

    def conclude(self, text: str) -> None:
        """Say in words of our own what came of many short calls."""
        self._text, self._finish = [text], "stop"

    def answer(self, status: AnswerStatus = "complete", failure: Failure | None = None) -> Answer:
        """What has arrived so far, as an answer."""
        if status == "complete" and self._finish in CUT_OFF:
            status = "cut off"
        ends = [*self._parts[1:], len(self._text)]
        return Answer(
            member=self._member.label,
            spec=self._member.spec,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            status=status,
            parts=tuple(
                "".join(self._text[start:end]).strip()
                for start, end in zip(self._parts, ends, strict=True)
            )
            if self._parts
            else (),
            tool_calls=tuple(self._tool_calls),
            usage=_total(self._usages),
            begun_s=self._begun,
            first_token_s=self._first_token_s,
            task=self._task,
            seconds=self._clock() - self._begun,
            model=self._model,
            provider=self._provider,
            local=self._member.provider.local,
            generation_id=self._generation_id,
            failure=failure,
        )


def _total(usages: list[Usage]) -> Usage | None:
    if len(usages) <= 1:
        return usages[0] if usages else None
    costs = [usage.cost for usage in usages]
    known = [cost for cost in costs if cost is not None]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        cost=sum(known[1:], known[0]) if len(known) == len(costs) else None,
    )


class Run:
    """One fusion in progress."""

    def __init__(
        self,
        plan: Plan,
        begun: float,
        entropy: int | None = None,
        measured: Measured | None = None,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.plan = plan
        self.measured = measured or Measured()
        self._look = look
        # all that is left to chance comes from here, so that a replay draws the same
        self._random = random.Random(secrets.randbits(64) if entropy is None else entropy)
        self.begun = begun  # before the plan was made: the deadline counts that too
        self.id = new_name()
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.judging_calls: dict[int, Answer] = {}  # by the order in which they were begun
        self._begun_calls = 0
        self.notes: list[str] = list(plan.notes)
        self.analysis: Analysis | None = None
        self.ahead: Ahead | None = None  # where the judge reads while members write
        self.spent = Decimal(0)  # US dollars, as far as servers or price lists tell
        self.spared = 0  # members that were stopped because enough others agree
        self.outputs: dict[str, Ran] = {}  # of code in answers, by that code
        self.vectors: dict[str, Sequence[float]] = {}  # of answers, by their text
        self.at_work = asyncio.Lock()  # one code at a time: its limit is seconds
        self._seq = 0

    def tag(self) -> str:
        """Eight hex digits that no candidate can have known, to fence it."""
        return f"{self._random.getrandbits(32):08x}"

    def shuffle_seed(self) -> int:
        """The pool's seed, else one drawn for this run; either way the verdict records it."""
        seed = self.plan.pool.seed
        return self._random.randrange(2**31) if seed is None else seed

    def clock(self) -> float:
        """Seconds since the run began, by the clock of its loop, which a replay winds forward."""
        return asyncio.get_running_loop().time() - self.begun

    async def look(self) -> None:
        """What has arrived is looked at now; a replay waits for all that had arrived by then."""
        if self._look is not None:
            await self._look()

    def emit(self, event: Event) -> None:
        """Stamp an event and hand it to the readers."""
        stamped = msgspec.structs.replace(event, run=self.id, seq=self._seq, at=self.clock())
        self._seq += 1
        self.queue.put_nowait(stamped)

    def affords(self, who: Sequence[Member], reads: int, writes: int) -> bool:
        """Whether the budget leaves room for one more call of each, of so many tokens."""
        usage = Usage(prompt_tokens=reads, completion_tokens=writes)
        cost = sum((_cost(one, usage) for one in who), self.spent)
        return self.plan.pool.budget is None or cost <= self.plan.pool.budget

    @property
    def members_end(self) -> float:
        """When members are cut off, in seconds of `clock()`."""
        return self.plan.pool.deadline_s * MEMBERS_SHARE

    async def stream(
        self, member: Member, call: Call, draft: Draft, heard: Callable[[Chunk], None] | None = None
    ) -> None:
        """Ask `member` and fill `draft`; raises a `ModelError` whatever its provider raises."""
        left = self.plan.pool.deadline_s - self.clock()  # so that no retry waits beyond it
        call = msgspec.structs.replace(call, timeout_s=max(0.0, left))
        usage: Usage | None = None
        try:
            async with aclosing(member.provider.stream(call)) as chunks:
                async for chunk in chunks:
                    usage = chunk.usage or usage
                    draft.feed(chunk)
                    if heard is not None:
                        heard(chunk)
        except ModelError:
            raise
        except NbfuseError as error:  # a setting that only its provider knows
            raise BadRequestError(error.message, error.hint) from error
        except Exception as error:  # a third party's provider may do anything
            raise BadResponseError(
                f"{member.label}: its provider broke: {type(error).__name__}: {error}.",
                "Leave it out, and tell who wrote that provider.",
            ) from error
        finally:
            if usage is not None:
                draft.bill(usage)
                self.spent += _cost(member, usage)

    @asynccontextmanager
    async def answering(
        self, member: Member, task: str, end: float | None = None
    ) -> AsyncIterator[Draft]:
        """A draft for a call after the members' answers, until `end` (None: the deadline).

        Whatever happens, its tokens and its time are in the result; raises `DeadlineError`.
        """
        draft, failure = Draft(member, self.clock, task), None
        number, self._begun_calls = self._begun_calls, self._begun_calls + 1
        status: AnswerStatus = "stopped"
        until = self.plan.pool.deadline_s if end is None else end
        try:
            async with asyncio.timeout(max(0.0, until - self.clock())):
                yield draft
            status = "complete"
        except TimeoutError:
            late = DeadlineError(
                f"{member.label} had not finished at the deadline.", "Raise the deadline."
            )
            status, failure = "partial", late.failure()
            raise late from None
        except ModelError as error:
            status, failure = "partial", error.failure()
            raise
        finally:
            self.judging_calls[number] = draft.answer(status, failure)

    async def ask(
        self,
        member: Member,
        task: str,
        call: Call,
        heard: Callable[[Chunk], None] | None = None,
        end: float | None = None,
    ) -> Answer:
        """A further answer of `member`; raises a `ModelError`, for an empty answer too."""
        async with self.answering(member, task, end) as draft:
            if self.ahead is not None and member == self.plan.judge:  # the one that read
                async with self.ahead.turn(heard) as listen:
                    await self.stream(member, call, draft, listen)
            else:
                await self.stream(member, call, draft, heard)
            answer = draft.answer()
            if not answer.text.strip():
                raise BadResponseError(f"{member.label} said nothing.", "Try another model.")
        return answer

    async def ask_judge(
        self, task: str, call: Call, heard: Callable[[Chunk], None] | None = None
    ) -> Answer:
        """The judge's answer to one call; raises a `ModelError`."""
        self.emit(JudgeStarted(judge=self.plan.judge.label, task=task))
        return await self.ask(self.plan.judge, task, call, heard)


def _cost(member: Member, usage: Usage) -> Decimal:
    """US dollars of a call: what its server says, else by the list of prices."""
    if member.provider.local:
        return Decimal(0)
    if usage.cost is not None:
        return usage.cost
    reading = (member.info.prompt_price or Decimal(0)) * usage.prompt_tokens
    return reading + (member.info.completion_price or Decimal(0)) * usage.completion_tokens
