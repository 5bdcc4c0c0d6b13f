"""Answers calls from a recording, in the order and, by the clock of its loop, at the times of then.

No key, no network, no model: what is not in the recording is a `ReplayError` that ends the run.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable, Sequence

from nbfuse.core.call import Call, Chunk
from nbfuse.core.errors import ReplayError
from nbfuse.core.virtual import VirtualLoop
from nbfuse.providers.protocol import ModelInfo
from nbfuse.providers.recording import HOPS, Called, Moment, TakenRun, Told, comparable
from nbfuse.providers.registry import Target


class Player:
    """One recorded run, played once in the event loop that makes it.

    `missing` makes the error for a call that was not recorded, from its spec, the call itself and
    the calls to that spec which have not been played; `failed` gets it.
    """

    def __init__(
        self, taken: TakenRun, missing: Callable[[str, Call, Sequence[Called]], ReplayError]
    ) -> None:
        self.taken, self._missing = taken, missing
        self._left = list(taken.calls)
        self.score = Score()
        self.failed: asyncio.Future[ReplayError] = asyncio.get_running_loop().create_future()

    def resolve(self, spec: str) -> Target:
        """Who answers a spec: the recording; raises `ReplayError` for one that was not asked."""
        if spec not in self.taken.told:
            raise ReplayError(
                f"The recording was broken off before anything was known of {spec}.",
                "Record it again.",
            )
        told = self.taken.told[spec]
        return Target(spec, Replay(self, told), told.model, replayed=True)

    def take(self, spec: str, call: Call) -> Called | None:
        """The recorded call that is the same; None where the run has to end for want of one."""
        asked = comparable(call)
        for one in self._left:
            if one.spec == spec and one.call == asked and not self._breaks_off(one):
                self._left.remove(one)
                return one
        if not self.failed.done() and not _reads_ahead(call):
            of_it = [one for one in self._left if one.spec == spec and not self._breaks_off(one)]
            self.failed.set_result(self._missing(spec, asked, of_it))
        return None

    def _breaks_off(self, called: Called) -> bool:
        """Whether a call ended because its run was given up, so that nobody would end it again."""
        last = max((one.ended.seq for one in self.taken.calls if one.how != "cancelled"), default=0)
        given_up = called.how == "cancelled" and called.ended.seq > last
        return given_up and self.taken.ended is None


def _reads_ahead(call: Call) -> bool:
    """Whether it only lets a judge read (`fusion.ahead`), which is no matter in a replay."""
    return call.max_tokens == 1 and call.temperature == 0 and call.top_logprobs is None


class Score:
    """The moments of a recorded run, in their order, for whoever waits for one of them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun, self._turn = self._loop.time(), 0
        self._waiting: list[tuple[int, Moment, asyncio.Future[None]]] = []  # a heap
        self._released: set[int] = set()  # whose turn it is, and who have not gone on yet
        self._idle = HOPS  # turns since somebody was released
        self._alarm: asyncio.TimerHandle | None = None

    async def until(self, moment: Moment) -> None:
        """Return at that moment, after all that came before it."""
        if self._is_due(moment) and not self._is_behind(moment):
            return
        future = self._loop.create_future()
        entry = (moment.seq, moment, future)
        heapq.heappush(self._waiting, entry)
        if self._idle >= HOPS:
            self._arm()
        try:
            await future
        finally:
            self._released.discard(moment.seq)
            if entry in self._waiting:  # it was cancelled
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)

    def _is_due(self, moment: Moment) -> bool:
        # One turn early: who waits for members is to see at once what it saw at once, and never
        # less; that it sees more at once changes nothing, since whom it stopped then never ends.
        return moment.turn <= self._turn + 1

    def _is_behind(self, moment: Moment) -> bool:
        """Whether somebody else goes first."""
        first = min(self._released, default=moment.seq)
        return first < moment.seq or bool(self._waiting and self._waiting[0][0] < moment.seq)

    def _arm(self) -> None:
        """Wake up when the next moment comes."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting:
            _, moment, _ = self._waiting[0]
            self._alarm = self._loop.call_at(self._begun + moment.at, self._begin, moment.turn)

    def _begin(self, turn: int) -> None:
        self._alarm, self._turn, self._idle = None, max(turn, self._turn), 0
        self._release()

    def _release(self) -> None:
        """Let go of all whose turn it is; count on while the next may follow without a pause."""
        self._idle += 1
        while self._waiting and self._is_due(self._waiting[0][1]):
            seq, moment, future = heapq.heappop(self._waiting)
            self._catch_up(moment)
            self._idle = 0
            if not future.done():
                self._released.add(seq)
                future.set_result(None)
        if self._idle < HOPS - 1:
            self._loop.call_soon(self._count)
        else:
            self._idle = HOPS
            self._arm()

    def _count(self) -> None:
        self._turn += 1
        self._release()

    def _catch_up(self, moment: Moment) -> None:
        """Let time pass too while the loop had no pause."""
        behind = self._begun + moment.at - self._loop.time()
        if behind > 0 and isinstance(self._loop, VirtualLoop) and not self._loop.clock.runs:
            self._loop.clock.jump(behind)


class Replay:
    """The recording as the provider of one model; `local` as its own provider was."""

    def __init__(self, player: Player, told: Told) -> None:
        self._player, self._told = player, told
        self.local = told.local

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield what was heard then, to the same end: what we cancelled hangs until we do again."""
        called, until = self._player.take(self._told.spec, call), self._player.score.until
        if called is None:
            if not _reads_ahead(call):
                await _forever()
            return
        for heard in called.heard:
            await until(heard.when)
            yield heard.chunk
        if called.how == "cancelled":
            await _forever()
        await until(called.ended)
        if called.error is not None:
            raise called.error.raised()

    async def models(self) -> list[ModelInfo]:
        return [self._told.info]

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:  # noqa: ARG002
        """Tell what was known then, at the moment at which it was."""
        await self._player.score.until(self._told.when)
        return [self._told.info]

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()
