"""Who uses a model together with others, and who needs it for himself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Turns:
    """The turns at one model, whatever it is called and whichever event loop asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._alone = False
        self._wanted = 0  # by those who want to be alone
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @asynccontextmanager
    async def take(self, alone: bool) -> AsyncIterator[None]:
        """A turn beside others; `alone`, one that nobody shares, as soon as all have ended."""
        with self._lock:
            self._wanted += alone
        try:
            while (changed := self._begin(alone)) is not None:
                await changed.wait()
        finally:
            with self._lock:
                self._wanted -= alone
            if alone:
                self._wake()
        try:
            yield
        finally:
            with self._lock:
                self._active, self._alone = self._active - 1, False
            self._wake()

    def _begin(self, alone: bool) -> asyncio.Event | None:
        """None where the turn has begun, else what is set when it may."""
        with self._lock:
            others = self._active if alone else self._wanted  # who wants it alone goes first
            if not self._alone and not others:
                self._active, self._alone = self._active + 1, alone
                return None
            changed = asyncio.Event()
            self._waiting.append((asyncio.get_running_loop(), changed))
            return changed

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, changed in waiting:
            with contextlib.suppress(RuntimeError):  # that loop has ended
                loop.call_soon_threadsafe(changed.set)


_turns: dict[tuple[int, Path], Turns] = {}


def turns_at(weights: Path) -> Turns:
    """The turns at the model in that file or folder; after a fork the engine is another one."""
    return _turns.setdefault((os.getpid(), weights.resolve()), Turns())
