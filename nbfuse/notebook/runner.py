"""The one bridge from a cell to asyncio: a thread with a loop of its own.

What does not work, and why (measured in real kernels): `run_until_complete` under nest_asyncio
leaves every stream running after an interrupt; a KeyboardInterrupt can land in the user's own
background task and wedge the kernel; anyio's portal left streams alive in 4 of 16 interrupts. A
loop that only nbfuse uses can be told to stop, and the main thread, which interrupts reach, only
waits and draws. Waits are short slices, since on Windows a lock wait can't be interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import TypeVar

SLICE_S = 0.05  # 20 looks a second: an interrupt is seen at once, drawing costs little
STOP_S = 2.0  # for the streams to close after an interrupt; they need some 20 ms

_T = TypeVar("_T")


class Runner:
    """Runs coroutines on a daemon thread's loop, which keeps its connections between cells."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner = 0

    def run(
        self,
        work: Coroutine[object, object, _T],
        tick: Callable[[], None] = lambda: None,
        stop: Callable[[], None] | None = None,
    ) -> _T:
        """The result of `work`; `tick` is called in this thread about 20 times a second.

        An interrupt is raised again after `stop` was called in the loop's thread and `work` has
        ended by that, `STOP_S` later at the latest; without a `stop`, `work` is cancelled.
        """
        loop = self._running_loop()
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return _wait(future, tick)
        except KeyboardInterrupt:
            if stop is None:
                future.cancel()
                raise
            loop.call_soon_threadsafe(stop)
            _let_end(future)
            future.cancel()
            raise

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


def _let_end(future: Future[_T]) -> None:
    """Wait for what has been told to stop; keys that are pressed twice must lose nothing."""
    end = time.monotonic() + STOP_S
    while not future.done() and (left := end - time.monotonic()) > 0:
        with contextlib.suppress(Exception, KeyboardInterrupt, CancelledError):
            future.result(min(left, SLICE_S))


runner = Runner()
