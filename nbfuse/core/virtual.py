"""An event loop whose clock jumps to whatever is waited for next: an hour passes in no time.

All of asyncio (timeouts, sleeps, `wait`) reads the loop's clock, so that what runs in it needs no
clock of its own. The loop jumps when nothing is left to do but to wait, which only the loop itself
can know: that is why a replay has one of its own, beside the user's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class VirtualClock:
    """Seconds that pass when they are jumped over, and as always while something holds it."""

    def __init__(self) -> None:
        self._now, self._holders, self._held_at = 0.0, 0, 0.0

    @property
    def held(self) -> bool:
        """Whether it runs as real time does."""
        return self._holders > 0

    def now(self) -> float:
        """Seconds since the loop was made."""
        return self._now + (time.monotonic() - self._held_at if self.held else 0.0)

    def jump(self, seconds: float) -> None:
        """Let `seconds` pass at once; fewer than a float can add are the least that it can."""
        self._now = max(self._now + seconds, math.nextafter(self._now, math.inf))

    def hold(self) -> None:
        """Run as real time does, until each holder has let go."""
        if not self.held:
            self._held_at = time.monotonic()
        self._holders += 1

    def let_go(self) -> None:
        """End one `hold`."""
        now = self.now()
        self._holders -= 1
        if not self.held:
            self._now = now


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; with `real`, one that never jumps.

    `cue` is asked whenever nothing is left to do, with the seconds until the next timer (None:
    there is none). It may give the loop something to do and return 0, return the seconds after
    which it wants to be asked again, or return None.
    """

    def __init__(self, real: bool = False) -> None:
        self.clock, self.real = VirtualClock(), real
        self.cue: Callable[[float | None], float | None] | None = None
        if real:
            self.clock.hold()
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Seconds by the virtual clock."""
        return self.clock.now()


class _Jumping(selectors.BaseSelector):
    """A selector that lets virtual time pass instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self._real = loop, selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = self._real.select(0)  # what another thread has to say goes first
        if found or (timeout is not None and timeout <= 0):
            return found
        pause = self._loop.cue(timeout) if self._loop.cue is not None else None
        if pause is not None:
            return self._real.select(pause if timeout is None else min(pause, timeout))
        if timeout is None or self._loop.clock.held:
            return self._real.select(timeout)
        self._loop.clock.jump(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map() or {}


@contextlib.contextmanager
def real_time() -> Iterator[None]:
    """Within the block time passes as always: something outside of the loop is waited for."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        yield
        return
    loop.clock.hold()
    try:
        yield
    finally:
        loop.clock.let_go()
