"""Several samples of one prompt are one request.

llama.cpp evaluates a prompt once for `n` samples, but again for each of `n` requests: 85 against 37
tokens a second for four (tests/bench/batch.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import msgspec

from nbfuse.core.call import Call, Chunk
from nbfuse.local.answer import CrowdedError

GATHER_S = 0.003  # for members that are asked at the same moment

_Ask = Callable[[Call, Sequence[str]], AsyncGenerator[Chunk]]  # goes on with what was said
_Piece = Chunk | Exception | None


class Samples:
    """The calls to one model in one event loop; `most` is how many samples it takes at once."""

    def __init__(self, ask: _Ask, most: int) -> None:
        self._ask, self._most = ask, most
        self._gathering: dict[bytes, _Group] = {}

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield the answer, from a request of its own or from one that others share."""
        if call.seed is not None:  # it is to be repeatable, which only one by itself is
            async with aclosing(self._ask(call, ())) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        asked = msgspec.json.encode(msgspec.structs.replace(call, timeout_s=None))
        group = self._gathering.get(asked)
        if group is None:
            group = self._gathering[asked] = _Group()
            group.work = asyncio.create_task(self._answer(call, asked, group))
        queue: asyncio.Queue[_Piece] = asyncio.Queue()
        group.queues.append(queue)
        if len(group.queues) == self._most:
            self._close(asked, group)
        try:
            while (piece := await queue.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            group.left += 1
            if group.left == len(group.queues) and group.work is not None:
                self._close(asked, group)  # first, so that nobody joins what ends
                group.work.cancel()  # nobody listens any more
                await asyncio.wait([group.work])

    async def _answer(self, call: Call, asked: bytes, group: _Group) -> None:
        """Ask for as many samples as there are listeners, and give each its own."""
        said: dict[int, list[str]] = {}  # of those that have not ended
        ended = 0  # the sample that has ended last: its usage follows, without its number
        try:
            await asyncio.sleep(GATHER_S)
            self._close(asked, group)
            shared = msgspec.structs.replace(call, n=len(group.queues))
            said = {index: [] for index in range(len(group.queues))}
            async with aclosing(self._ask(shared, ())) as chunks:
                async for chunk in chunks:
                    if chunk.text:
                        said[chunk.index].append(chunk.text)
                    if chunk.finish is not None:
                        ended = chunk.index
                    place = ended if chunk.usage is not None else chunk.index
                    group.queues[place].put_nowait(chunk)
                    if chunk.usage is not None:
                        group.queues[place].put_nowait(None)
                        del said[place]
        except CrowdedError:
            each = (self._go_on(call, group.queues[i], text) for i, text in said.items())
            await asyncio.gather(*each)
        except Exception as error:  # each listener raises it as its own
            for queue in group.queues:
                queue.put_nowait(error)
        finally:
            self._close(asked, group)
            for queue in group.queues:
                queue.put_nowait(None)

    async def _go_on(self, call: Call, queue: asyncio.Queue[_Piece], said: list[str]) -> None:
        try:
            async with aclosing(self._ask(call, said)) as chunks:
                async for chunk in chunks:
                    queue.put_nowait(chunk)
        except Exception as error:
            queue.put_nowait(error)
        finally:
            queue.put_nowait(None)

    def _close(self, asked: bytes, group: _Group) -> None:
        """Take nobody into the group any more."""
        if self._gathering.get(asked) is group:
            del self._gathering[asked]


class _Group:
    """Those who have asked the same at the same moment."""

    def __init__(self) -> None:
        self.queues: list[asyncio.Queue[_Piece]] = []
        self.left = 0
        self.work: asyncio.Task[None] | None = None
