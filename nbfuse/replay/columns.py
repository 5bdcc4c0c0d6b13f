"""The columns of a table as providers: models' answers, judges' verdicts; and who is asked live.

An answer comes evenly over its recorded time, and its cost grows with it, so that one who is
stopped early has cost its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import NamedTuple

from nbfuse.core.call import Call, Chunk, Usage
from nbfuse.core.errors import BadRequestError, BadResponseError
from nbfuse.core.virtual import real_time
from nbfuse.providers.protocol import ModelInfo, Provider
from nbfuse.replay.scripted import Choose, ruling

PIECES = 8


class Cell(NamedTuple):
    """What the table says of one call: its text (None: there is none), its time and its cost."""

    text: str | None
    seconds: float = 0.0
    cost: Decimal | None = None


class Column:
    """A model of the table, or a judge that `choose`s, for one question."""

    local = False  # so that its recorded cost counts

    def __init__(self, name: str, question: str, cell: Cell, choose: Choose | None = None) -> None:
        self._name, self._question, self._cell, self._choose = name, question, cell, choose

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield the answer over its recorded time; raises a `ModelError` where there is none."""
        text, cell = self._text(call), self._cell
        pieces = PIECES if cell.seconds > 0 else 1
        for i in range(1, pieces + 1):
            await asyncio.sleep(cell.seconds / pieces)
            part = text[len(text) * (i - 1) // pieces : len(text) * i // pieces]
            share = None if cell.cost is None else Usage(cost=cell.cost * i / pieces)
            yield Chunk(text=part, usage=share, finish="stop" if i == pieces else None)

    def _text(self, call: Call) -> str:
        if self._choose is not None:
            return ruling(self._choose, self._question, call)
        if call.schema is not None or call.messages[-1].content.strip() != self._question:
            raise BadRequestError(
                f"{self._name} has answers in the table, and can be asked nothing else.",
                "Ask the question as it stands there, without tools and not in parts.",
            )
        if self._cell.text is None:
            raise BadResponseError(
                f"{self._name} has no answer in the table.", "Fill that cell, or leave it out."
            )
        return self._cell.text

    async def models(self) -> list[ModelInfo]:
        """List the models that can be asked for."""
        return [self._info()]

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """Tell that a judge can judge, and a model nothing but answer."""
        return [self._info() for _ in models]

    def _info(self) -> ModelInfo:
        return ModelInfo(id=self._name, form="none" if self._choose is None else "full")

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


class Outside:
    """A live provider in a replay: while it is waited for, time passes as always."""

    def __init__(self, inner: Provider) -> None:
        self._inner, self.local = inner, inner.local

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield what the provider yields."""
        with real_time():
            async with aclosing(self._inner.stream(call)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def models(self) -> list[ModelInfo]:
        """List the models that can be asked for."""
        with real_time():
            return await self._inner.models()

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """Tell what the provider tells."""
        with real_time():
            return await self._inner.describe(models)

    async def aclose(self) -> None:
        """Drop connections, where there are any."""
        await self._inner.aclose()
