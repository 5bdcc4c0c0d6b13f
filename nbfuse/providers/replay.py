"""Answers calls from a recording, in the order and, by the clock of its loop, at the times of then.

No key, no network, no model: what is not in the recording is a `ReplayError` that ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from nbfuse.core.call import Call, Chunk
from nbfuse.core.errors import ReplayError
from nbfuse.core.virtual import VirtualLoop
from nbfuse.providers.protocol import ModelInfo
from nbfuse.providers.recording import Called, TakenRun, Told, comparable, digest
from nbfuse.providers.registry import Target
from nbfuse.providers.score import Score, notes_of


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
        self._looks = iter(taken.looks)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.score = Score(loop, notes_of(taken))
        self.failed: asyncio.Future[ReplayError] = loop.create_future()

    def resolve(self, spec: str) -> Target:
        """Who answers a spec: the recording; raises `ReplayError` for one that was not asked."""
        if spec not in self.taken.told:
            raise ReplayError(
                f"The recording was broken off before anything was known of {spec}.",
                "Record it again.",
            )
        told = self.taken.told[spec]
        return Target(spec, Replay(self, told), told.model, replayed=True)

    async def look(self) -> None:
        """Return when all has come that had come when the run counted at this point."""
        if (moment := next(self._looks, None)) is not None:
            await self.score.until(moment)

    def take(self, spec: str, call: Call) -> Called | None:
        """The recorded call that is the same; None where the run has to end for want of one."""
        asked = comparable(call)
        for one in self._left:
            if one.spec == spec and one.call == asked and not self._breaks_off(one):
                self._left.remove(one)
                self.score.did(one.begun)
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


class Replay:
    """The recording as the provider of one model; `local` as its own provider was."""

    def __init__(self, player: Player, told: Told) -> None:
        self._player, self._told = player, told
        self.local = told.local

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield what was heard then, to the same end: what we cancelled hangs until we do again."""
        called, score = self._player.take(self._told.spec, call), self._player.score
        if called is None:
            if not _reads_ahead(call):
                await asyncio.get_running_loop().create_future()
            return
        for heard in called.heard:
            await score.until(heard.when)
            yield heard.chunk
        if called.how == "cancelled":
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await score.cancelled(called.ended)
        await score.until(called.ended)
        if called.error is not None:
            raise called.error.raised()

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:  # noqa: ARG002
        """Give the vectors that were given then."""
        names = tuple(map(digest, texts))
        for one in self._player.taken.embedded:
            if (one.spec, one.texts) == (self._told.spec, names):
                if one.error is not None:
                    raise one.error.raised()
                return [list(vector) for vector in one.vectors]
        if not self._player.failed.done():
            said = f"{self._told.spec} was to embed other texts when it was recorded."
            self._player.failed.set_result(ReplayError(said, "Record it again."))
        never: asyncio.Future[list[list[float]]] = asyncio.get_running_loop().create_future()
        return await never  # the error ends the run

    async def models(self) -> list[ModelInfo]:
        """List the models that can be asked for."""
        return [self._told.info]

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:  # noqa: ARG002
        """Tell what was known then, at the moment at which it was."""
        await self._player.score.until(self._told.when)
        return [self._told.info]

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""
