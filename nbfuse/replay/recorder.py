"""Runs a fusion and records it: the engine as always, with providers that are listened to."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import msgspec

from nbfuse._version import __version__
from nbfuse.core.events import Event, RunFinished
from nbfuse.core.measured import Measured
from nbfuse.core.request import Request
from nbfuse.core.stamp import new_name, now
from nbfuse.core.types import FusionResult
from nbfuse.fusion import engine
from nbfuse.providers.record import Recorder
from nbfuse.providers.recording import Began, Ended, Skipped
from nbfuse.providers.registry import resolve
from nbfuse.replay.recording import judged_members
from nbfuse.replay.source import asked_of
from nbfuse.replay.times import times_of


async def recorded_into(
    path: str | Path,
    request: Request,
    stop: asyncio.Event | None = None,
    skip: asyncio.Queue[str] | None = None,
    *,
    measured: Measured | None = None,
) -> AsyncGenerator[Event]:
    """Yield the events of a run that is appended to the recording at `path`.

    Raises `ConfigError` before anything is asked where the file can't be written, and what
    `engine.stream` raises. What can't be written later is told in a note of the result.
    """
    began = Began(
        run=new_name(),
        asked=asked_of(request),
        entropy=secrets.randbits(63),
        measured=measured or Measured(),
        started_at=now(),
        version=__version__,
    )
    recorder = Recorder(Path(path).expanduser(), began)
    events = engine.stream(
        request,
        stop,
        _Skips(skip or asyncio.Queue(), recorder),
        measured=began.measured,
        entropy=began.entropy,
        resolve=lambda spec: recorder.listened(resolve(spec)),
        look=recorder.look,
    )
    async with aclosing(events):
        async for event in events:
            if isinstance(event, RunFinished):
                event = _ended(recorder, event)
            yield event


def _ended(recorder: Recorder, event: RunFinished) -> RunFinished:
    result: FusionResult = event.result
    ended = Ended(
        run=recorder.run,
        when=recorder.moment(),
        status=result.status,
        text=result.text,
        best=result.verdict.best,
        judged=judged_members(result),
        times=times_of(result),
        seconds=result.seconds,
    )
    recorder.write(ended)
    if not recorder.trouble:
        return event
    noted = msgspec.structs.replace(result, notes=(*result.notes, recorder.trouble))
    return msgspec.structs.replace(event, result=noted)


class _Skips(asyncio.Queue[str]):
    """The names of members to be stopped alone, each written down as it is taken."""

    def __init__(self, inner: asyncio.Queue[str], recorder: Recorder) -> None:
        super().__init__()
        self._inner, self._recorder = inner, recorder

    async def get(self) -> str:
        name = await self._inner.get()
        self._recorder.write(
            Skipped(run=self._recorder.run, member=name, when=self._recorder.moment())
        )
        return name
