"""`fuse` and `stream` as users call them: a pool by value, by name or by default."""

from __future__ import annotations

import typing
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from nbfuse.config import default_pool, history, load_pool
from nbfuse.core.errors import ConfigError, NbfuseError
from nbfuse.core.events import Event, RunFinished
from nbfuse.core.pool import Pool, make_pool
from nbfuse.core.types import FusionResult

if typing.TYPE_CHECKING:
    import asyncio


async def fuse(
    prompt: str,
    pool: Pool | str | None = None,
    /,
    *,
    tools: Sequence[object] = (),
    images: Sequence[object] = (),
    **settings: object,
) -> FusionResult:
    """Ask every member of a pool and fuse the answers.

    `pool` is a `Pool`, the name of one, or None for the default; `settings` are fields of `Pool`
    that hold for this run only (`mode="merge"`, `seed=1`). `tools` are what members may call before
    they answer: Python functions with annotated arguments, or schemas in OpenAI's form, whose call
    then is the answer. `images` go to members that can see: paths of files, bytes, matplotlib
    figures or PIL images. Raises what `stream` raises.
    """
    result = None
    chosen = choose(pool, settings)
    async with aclosing(stream(prompt, chosen, tools=tools, images=images)) as events:
        async for event in events:
            if isinstance(event, RunFinished):
                result = event.result
    if result is None:
        raise NbfuseError("The run ended without a result.", "Please report this.")
    return result


def stream(
    prompt: str,
    pool: Pool | str | None = None,
    /,
    *,
    stop: asyncio.Event | None = None,
    tools: Sequence[object] = (),
    images: Sequence[object] = (),
    **settings: object,
) -> AsyncGenerator[Event]:
    """Iterate over the events of a fusion while it happens; arguments as for `fuse`.

    Setting `stop` ends the run early with what has arrived. Raises `PromptError`, `ConfigError`,
    `PrivacyError` or `BudgetError` before anything is spent, and `NoAnswerError` when every
    member failed.
    """
    from nbfuse.fusion import engine  # with asyncio it is most of what an import would cost

    events = engine.stream(prompt, choose(pool, settings), stop, tools, images)
    kept = history()
    if not kept.on:
        return events
    from nbfuse.ledger import Ledger
    from nbfuse.recorder import recorded

    return recorded(events, Ledger(), kept.days)


def choose(pool: Pool | str | None, settings: dict[str, object]) -> Pool:
    """The pool meant, with `settings` in place of its own; raises `ConfigError`."""
    if pool is None:
        pool = default_pool().pool
    elif isinstance(pool, str):
        pool = load_pool(pool)
    if not isinstance(pool, Pool):
        raise ConfigError(
            f"{type(pool).__name__} is not a pool.",
            "Give a nbfuse.Pool, a pool's name, or nothing.",
        )
    return make_pool({**msgspec.structs.asdict(pool), **settings})
