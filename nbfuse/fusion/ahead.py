"""Has a local judge read the answers as they arrive, while other members still write.

Reading is most of what a local judge does (tests/bench/ahead.py). An engine that remembers how a
prompt began goes on from there, so the prompt is sent again and again, each time longer by an
answer. The candidates then stand in the order of their arrival; nothing else tells who they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from nbfuse.core.call import Call, Chunk, Message
from nbfuse.core.errors import ModelError
from nbfuse.core.types import Answer
from nbfuse.fusion.candidates import Ballot, Candidate, candidates, request
from nbfuse.fusion.plan import Member

Heard = Callable[[Chunk], None]


class Ahead:
    """What `judge` has heard of so far, and the reading of it; belongs to the loop of one run."""

    def __init__(self, judge: Member, question: str, system: str, tag: str) -> None:
        self._judge, self._question, self._system = judge, question, system
        self._tag = tag
        self._heard: list[Candidate] = []
        self._closed = False
        self._under_way = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    def hear(self, answer: Answer) -> None:
        """An answer has come: read as far as it goes, unless judging has begun."""
        if self._closed:
            return
        self._heard += candidates([answer], self._question)
        if self._heard and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())

    def ballot(self, those: Sequence[Candidate]) -> Ballot:
        """The candidates in the order in which they were heard; what came of them later, last."""
        heard = [candidate for candidate in self._heard if candidate in those]
        later = [candidate for candidate in those if candidate not in heard]
        return Ballot((*heard, *later), None, self._tag)

    @asynccontextmanager
    async def turn(self, heard: Heard | None) -> AsyncIterator[Heard]:
        """A call to the judge, which listens by what it is given here; the reading has ended.

        The first call goes on from what was read. Others wait until it is under way: one that came
        sooner would take the place in the engine where that is remembered.
        """
        first, self._closed = not self._closed, True
        if self._reading is not None:
            await asyncio.wait([self._reading])  # what is read at this moment is needed
        if not first:
            await self._under_way.wait()

        def listen(chunk: Chunk) -> None:
            self._under_way.set()
            if heard is not None:
                heard(chunk)

        try:
            yield listen
        finally:
            self._under_way.set()

    def stop(self) -> None:
        """Leave it, whatever it reads."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        count = 0
        while count < len(self._heard) and not (self._closed and count):
            count = len(self._heard)
            prompt = request(self._question, self.ballot(self._heard[:count]))
            call = Call(
                model=self._judge.model,
                messages=(Message("system", self._system), Message("user", prompt)),
                temperature=0.0,
                max_tokens=1,  # to generate nothing at all can't be asked for
            )
            with contextlib.suppress(ModelError):  # the judge itself will say what is wrong
                async with aclosing(self._judge.provider.stream(call)) as chunks:
                    async for _ in chunks:
                        pass
