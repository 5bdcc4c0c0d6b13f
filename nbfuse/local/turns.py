"""Who uses a model together with others, and who needs it for himself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """The turns at one model in one event loop."""

    def __init__(self) -> None:
        self._active = 0
        self._alone = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, alone: bool) -> AsyncIterator[None]:
        """A turn beside others; `alone`, one that nobody shares, as soon as all have ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not (alone and self._active))
            self._active, self._alone = self._active + 1, alone
        try:
            yield
        finally:
            self._active, self._alone = self._active - 1, False
            async with self._changed:
                self._changed.notify_all()
