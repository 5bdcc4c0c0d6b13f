"""The one bridge from a cell to asyncio: a thread with a loop of its own.

What does not work, and why (measured in real kernels): `run_until_complete` under nest_asyncio
leaves every stream running after an interrupt; a KeyboardInterrupt can land in the user's own
background task and wedge the kernel; anyio's portal left streams alive in 4 of 16 interrupts; and
one that lands while a result is being kept loses it, however it is caught. So only nbfuse uses this
loop, which can be told to stop; while a cell runs, an interrupt tells it that and raises nothing.
The main thread, which interrupts reach, only waits and draws. Waits are short slices, since on
Windows a lock wait can't be interrupted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

SLICE_S = 0.08  # a look: at 20 a second a browser is busy twice as long, and nobody sees it

_T = TypeVar("_T")


class Runner:
    """Runs coroutines on a daemon thread's loop, which keeps its connections between cells."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner = 0

    def run(
        self, work: Coroutine[object, object, _T], tick: Callable[[], None] = lambda: None
    ) -> _T:
        """The result of `work`; `tick` is called in this thread, some twelve times a second.

        An interrupt, or what `tick` raises, cancels `work` and is raised again.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._running_loop())
        try:
            return _wait(future, tick)
        finally:
            future.cancel()  # nothing where it has ended

    def soon(self, act: Callable[[], None]) -> None:
        """Have the loop's thread call `act`; a signal handler may ask for that."""
        self._running_loop().call_soon_threadsafe(act)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._owner != os.getpid():  # a fork has no threads
            self._loop, self._owner = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=self._loop.run_forever, name="nbfuse", daemon=True).start()
        return self._loop


def _wait(future: Future[_T], tick: Callable[[], None]) -> _T:
    while True:
        try:
            return future.result(SLICE_S)
        except TimeoutError:
            if future.done():  # it has ended just now, or raised this itself
                return future.result()
        tick()


@contextmanager
def interrupts_call(act: Callable[[], None]) -> Iterator[list[float]]:
    """Within the block an interrupt calls `act` and raises nothing; yields when it was pressed.

    The times are those of `time.monotonic`. Outside of the main thread no interrupt arrives.
    """
    pressed: list[float] = []

    def handle(*_: object) -> None:
        pressed.append(time.monotonic())
        act()

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


runner = Runner()
