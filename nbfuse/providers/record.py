"""Writes down what providers say, in the middle between a run and them. It changes nothing."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import msgspec

from nbfuse.core.call import Call, Chunk
from nbfuse.providers.protocol import Embedder, ModelInfo, Provider
from nbfuse.providers.recording import (
    HOPS,
    Began,
    Called,
    Embedded,
    Heard,
    Line,
    Looked,
    Moment,
    Told,
    as_error,
    check_writable,
    comparable,
    digest,
)
from nbfuse.providers.registry import Target


class Recorder:
    """Appends one run to a file; raises `ConfigError` at once where that can't be done.

    Belongs to one event loop. What could not be written later on is told by `trouble`.
    """

    def __init__(self, path: Path, began: Began) -> None:
        check_writable(path)
        self.run, self.trouble = began.run, ""
        self._path, self._loop = path, asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._at, self._turn, self._seq = 0.0, 0, 0
        self._watched = 0  # turns of the loop that will still be counted
        self._providers: dict[int, Recording] = {}
        self.write(began)

    def listened(self, target: Target) -> Target:
        """The same target, with a provider that is listened to."""
        key = id(target.provider)
        if key not in self._providers:  # one for all of its models, which it is asked about at once
            self._providers[key] = Recording(self, target.provider)
        mine = self._providers[key]
        mine.specs[target.model] = target.spec
        return target._replace(provider=mine)

    def moment(self) -> Moment:
        """Now, by the clock, by the turn of the loop, and by number."""
        self._at = max(self._at, round(self._loop.time() - self._begun, 6))
        self._seq += 1
        if not self._watched:
            self._turn += HOPS + 1
            self._loop.call_soon(self._count)
        self._watched = HOPS
        return Moment(self._at, self._turn, self._seq)

    async def look(self) -> None:
        """The run counts what has arrived."""
        self.write(Looked(run=self.run, when=self.moment()))

    def _count(self) -> None:
        self._turn += 1
        self._watched -= 1
        if self._watched:
            self._loop.call_soon(self._count)

    def write(self, line: Line) -> None:
        """Append a line, in one piece: what the system has taken outlives this process."""
        try:
            with self._path.open("a+b", buffering=0) as file:
                start = b"" if _ends_whole(file.seek(0, 2), file) else b"\n"
                file.write(start + msgspec.json.encode(line) + b"\n")
        except OSError as error:
            self.trouble = f"The recording is not whole: {self._path}: {error.strerror}."


def _ends_whole(size: int, file: typing.BinaryIO) -> bool:
    """Whether no line was broken off when an earlier process ended."""
    if not size:
        return True
    file.seek(-1, 2)
    return file.read(1) == b"\n"


class Recording:
    """A provider that is listened to; `specs` are its models' names in the pool."""

    def __init__(self, recorder: Recorder, inner: Provider) -> None:
        self._recorder, self._inner = recorder, inner
        self.local = inner.local
        self.specs: dict[str, str] = {}

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield what the provider yields; however it ends, it is written down then."""
        recorder, heard = self._recorder, list[Heard]()
        begun = recorder.moment()

        def end(how: Literal["done", "failed", "cancelled"], error: Exception | None) -> None:
            called = Called(
                run=recorder.run,
                spec=self.specs[call.model],
                call=comparable(call),
                begun=begun,
                heard=tuple(heard),
                ended=recorder.moment(),
                how=how,
                error=None if error is None else as_error(error),
            )
            recorder.write(called)

        try:
            async with aclosing(self._inner.stream(call)) as chunks:
                async for chunk in chunks:
                    heard.append(Heard(recorder.moment(), chunk))
                    yield chunk
        except (asyncio.CancelledError, GeneratorExit):
            end("cancelled", None)
            raise
        except Exception as error:
            end("failed", error)
            raise
        end("done", None)

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Give the vectors that the provider gives, where it is one that does, and keep them."""
        spec, run = self.specs[model], self._recorder.run
        names = tuple(map(digest, texts))
        assert isinstance(self._inner, Embedder)  # the plan has looked
        try:
            found = await self._inner.embed(model, texts)
        except Exception as error:
            self._recorder.write(Embedded(run=run, spec=spec, texts=names, error=as_error(error)))
            raise
        vectors = tuple(map(tuple, found))
        self._recorder.write(Embedded(run=run, spec=spec, texts=names, vectors=vectors))
        return found

    async def models(self) -> list[ModelInfo]:
        """List the models that can be asked for."""
        return await self._inner.models()

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """Tell what the provider tells, and write it down."""
        found = await self._inner.describe(models)
        for model, info in zip(models, found, strict=True):
            self._recorder.write(
                Told(
                    run=self._recorder.run,
                    spec=self.specs[model],
                    model=model,
                    info=info,
                    local=self.local,
                    when=self._recorder.moment(),
                )
            )
        return found

    async def aclose(self) -> None:
        """Drop connections, where there are any."""
        await self._inner.aclose()
