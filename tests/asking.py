"""Runs against the look-alike, and what was asked in them."""

from __future__ import annotations

import asyncio
import re

from lookalike import LookAlike, Say

from nbfuse import FusionResult, Pool
from nbfuse.core.events import RunFinished
from nbfuse.core.measured import Measured
from nbfuse.core.request import Request
from nbfuse.fusion import engine

QUESTION = "What is the capital of France?"


def pool(*names: str, **settings: object) -> Pool:
    """Members of the look-alike by their names, all of whom are waited for."""
    given = {"judge": "openrouter:v/judge", "seed": 1, "quorum": len(names), **settings}
    return Pool(members=tuple(f"openrouter:v/{name}" for name in names), **given)


def run(
    asked: Pool, prompt: str = QUESTION, measured: Measured | None = None, **more: object
) -> FusionResult:
    """The result of a run; `more` as `Request` takes it."""

    async def last() -> FusionResult:
        async for event in engine.stream(Request(prompt, asked, **more), measured=measured):
            if isinstance(event, RunFinished):
                result = event.result
        return result

    return asyncio.run(last())


def members(server: LookAlike, **answers: str) -> None:
    """Let members answer so."""
    server.models |= {f"v/{name}": Say(text) for name, text in answers.items()}


def seen(body: dict) -> list[tuple[str, str]]:
    """The candidates of a judge's prompt in their order, as (tag, text)."""
    return re.findall(r"<<<(\w{8})\n(.*?)\n\1>>>", body["messages"][1]["content"], re.DOTALL)
