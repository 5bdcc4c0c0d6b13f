"""Runs a fusion whose providers are replayed, in a loop and a thread of its own.

The engine is the one that asks live models. Its waits (grace, deadline, a recorded answer) are over
at once, because the loop's clock jumps; the user's own loop can't be made to do that.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from nbfuse.core.events import Event, RunFinished
from nbfuse.core.measured import Measured
from nbfuse.core.request import Request
from nbfuse.core.virtual import VirtualLoop
from nbfuse.fusion import engine
from nbfuse.providers.recording import Moment
from nbfuse.providers.replay import Player
from nbfuse.replay.source import Playing, Source, Take, asked_of

_Engine = Callable[[Playing, asyncio.Event, asyncio.Queue[str]], AsyncGenerator[Event]]


async def replayed(
    source: Source,
    request: Request,
    stop: asyncio.Event | None = None,
    skip: asyncio.Queue[str] | None = None,
    *,
    measured: Measured | None = None,
    entropy: int | None = None,
) -> AsyncGenerator[Event]:
    """Yield the events of a run that `source` answers, as `engine.stream` does.

    `measured` and `entropy` are for a source that does not know those of the run. Raises
    `ReplayError` where it does not hold that run, and what `engine.stream` raises.
    """
    take = source.begin(asked_of(request))

    def begin(
        playing: Playing, stop: asyncio.Event, skip: asyncio.Queue[str]
    ) -> AsyncGenerator[Event]:
        return engine.stream(
            request,
            stop,
            skip,
            measured=take.measured or measured,
            entropy=entropy if take.entropy is None else take.entropy,
            resolve=playing.resolve,
            look=playing.player.look if playing.player is not None else None,
        )

    stage = _Stage(take, begin, real=source.speed == "original")
    hands = asyncio.create_task(stage.hand_on(stop or asyncio.Event(), skip or asyncio.Queue()))
    try:
        while (heard := await stage.heard.get()) is not None:
            if isinstance(heard, BaseException):
                raise heard
            yield heard
    finally:
        hands.cancel()
        stage.end()
        await stage.ended.wait()


class _Stage:
    """The thread, its loop, and what goes to and fro between it and the loop of the caller."""

    def __init__(self, take: Take, begin: _Engine, real: bool) -> None:
        self.heard: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self.ended = asyncio.Event()
        self._take, self._begin = take, begin
        self._home, self._loop = asyncio.get_running_loop(), VirtualLoop(real)
        self._stop, self._skip = asyncio.Event(), asyncio.Queue[str]()
        self._main: asyncio.Task[None] | None = None
        self._player: Player | None = None
        self._told = self._over = False  # the user has interfered; nobody listens any more
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._work,), name="nbfuse-replay", daemon=True
        ).start()

    async def hand_on(self, stop: asyncio.Event, skip: asyncio.Queue[str]) -> None:
        """Tell the run when the user stops it, or a member of it."""

        async def stopped() -> None:
            await stop.wait()
            self._soon(self._interfere)
            self._soon(self._stop.set)

        async def skipped() -> None:
            while True:
                name = await skip.get()
                self._soon(self._interfere)
                self._soon(self._skip.put_nowait, name)

        await asyncio.gather(stopped(), skipped())

    def end(self) -> None:
        """Have the run closed, if it still goes on."""
        self._soon(self._close)

    def _soon(self, act: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(act, *arguments)

    def _say(self, what: Event | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop has ended
            self._home.call_soon_threadsafe(self.heard.put_nowait, what)

    # what follows happens in the thread

    def _interfere(self) -> None:
        self._told = True
        self._loosen()

    def _loosen(self) -> None:
        if self._player is not None:
            self._player.score.loose = True

    def _close(self) -> None:
        self._over = True
        self._loosen()
        if self._main is not None:
            self._main.cancel()

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._play())
        except BaseException as error:
            if not self._over:
                self._say(error)
        finally:
            self._say(None)
            with contextlib.suppress(RuntimeError):
                self._home.call_soon_threadsafe(self.ended.set)

    async def _play(self) -> None:
        self._main = asyncio.current_task()
        if self._over or self._main is None:
            return
        playing = self._take.play()
        player = self._player = playing.player
        cues = asyncio.create_task(self._cue(playing))
        if player is not None:
            player.failed.add_done_callback(lambda _: self._fail())
        try:
            async with aclosing(self._begin(playing, self._stop, self._skip)) as events:
                async for event in events:
                    if isinstance(event, RunFinished) and not self._told:
                        self._take.check(event.result)
                        timed = self._take.timed(event.result)
                        event = msgspec.structs.replace(event, result=timed)
                    self._say(event)
        except asyncio.CancelledError:
            if player is not None and player.failed.done() and not self._over:
                raise player.failed.result() from None
            raise
        finally:
            cues.cancel()

    def _fail(self) -> None:
        self._loosen()
        if self._main is not None:
            self._main.cancel()

    async def _cue(self, playing: Playing) -> None:
        """What the user did during the recorded run, at its moments."""
        if (player := playing.player) is None:
            return

        async def skip(moment: Moment, name: str, player: Player = player) -> None:
            await player.score.until(moment)
            self._skip.put_nowait(name)

        async with asyncio.TaskGroup() as group:
            for moment, name in playing.skips:
                group.create_task(skip(moment, name))
            if playing.stopped is not None:
                await player.score.until(playing.stopped)
                self._stop.set()
