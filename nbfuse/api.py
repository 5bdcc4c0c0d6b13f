"""`fuse`, `rejudge` and `stream` as users call them: a pool by value, by name or by default."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import msgspec

from nbfuse._version import __version__
from nbfuse.config import default_pool, history, load_pool
from nbfuse.core.errors import ConfigError, LedgerError, NbfuseError, did_you_mean
from nbfuse.core.events import Event, RunFinished
from nbfuse.core.measured import Measured
from nbfuse.core.pool import Pool, make_pool
from nbfuse.core.request import Request
from nbfuse.core.shapes import model_of
from nbfuse.core.stamp import new_name, now
from nbfuse.core.types import Answer, FusionResult, Verdict

if typing.TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from nbfuse.replay import Source


async def fuse(
    prompt: str,
    pool: Pool | str | None = None,
    /,
    *,
    tools: Sequence[object] = (),
    images: Sequence[object] = (),
    schema: object = None,
    record: str | Path | None = None,
    replay: Source | str | Path | None = None,
    **settings: object,
) -> FusionResult:
    """Ask every member of a pool and fuse the answers.

    `pool` is a `Pool`, the name of one, or None for the default; `settings` are fields of `Pool`
    that hold for this run only (`mode="merge"`, `seed=1`). `tools` are what members may call before
    they answer: Python functions with annotated arguments, or schemas in OpenAI's form, whose call
    then is the answer. `images` go to members that can see: paths of files, bytes, matplotlib
    figures or PIL images. `schema` is a pydantic model, a JSON schema as a dict, or a file of one:
    then answers obey it, they are fused field by field, and the result has a `value` and `fields`.
    `record` is a file to which all that models say is appended; `replay` is such a file, or a table
    of `nbfuse.replay.from_table`, that answers instead of them. Raises what `stream` raises.
    """
    source = _source(record, replay)
    chosen = _chosen(prompt, pool, settings, source)
    asked = Request(prompt, chosen, tools, images, schema=schema)
    return await _last(_listened(asked, None, None, record, source))


def stream(
    prompt: str,
    pool: Pool | str | None = None,
    /,
    *,
    stop: asyncio.Event | None = None,
    skip: asyncio.Queue[str] | None = None,
    tools: Sequence[object] = (),
    images: Sequence[object] = (),
    schema: object = None,
    record: str | Path | None = None,
    replay: Source | str | Path | None = None,
    **settings: object,
) -> AsyncGenerator[Event]:
    """Iterate over the events of a fusion while it happens; arguments as for `fuse`.

    Setting `stop` ends the run early with what has arrived; a member whose name is put into `skip`
    is stopped alone, and its answer is not judged. Raises `PromptError`, `ConfigError`,
    `PrivacyError` or `BudgetError` before anything is spent, and `NoAnswerError` when every
    member failed. Where a replay does not hold what is asked, `ReplayError` names what has changed.
    """
    source = _source(record, replay)
    chosen = _chosen(prompt, pool, settings, source)
    asked = Request(prompt, chosen, tools, images, schema=schema)
    return _listened(asked, stop, skip, record, source)


def stream_again(
    result: FusionResult,
    settings: Mapping[str, object],
    /,
    *,
    retry: bool = False,
    stop: asyncio.Event | None = None,
    skip: asyncio.Queue[str] | None = None,
    record: str | Path | None = None,
    replay: Source | str | Path | None = None,
) -> AsyncGenerator[Event]:
    """Iterate over the events of a further judging of the answers of `result`.

    `settings` are fields of `Pool`, such as `judge` and `mode`. Members are asked again only where
    they had failed and `retry` says so, and in a debate. Raises as `stream` does.
    """
    specs = tuple(answer.spec for answer in result.answers)
    own: dict[str, object] = {"judge": result.judge, "mode": result.mode, "name": result.pool}
    own |= {"members": specs, "quorum": len(specs) or None}  # who is asked, is waited for
    pool = make_pool({**result.settings, **own, **settings})
    given = [answer for answer in _earlier(result) if not (retry and answer.wanting)]
    source = _source(record, replay)
    schema = model_of(result.answer_schema, result.answer_model) or result.answer_schema or None
    asked = Request(result.prompt, pool, given=given, schema=schema)
    return _listened(asked, stop, skip, record, source)


async def rejudge(
    result: FusionResult,
    /,
    *,
    retry: bool = False,
    record: str | Path | None = None,
    replay: Source | str | Path | None = None,
    **settings: object,
) -> FusionResult:
    """Judge the answers of an earlier result again, without asking for them a second time.

    `settings` are fields of `Pool`, such as `judge` and `mode`. With `retry`, members that had
    failed or were stopped are asked once more, without the run's pictures and tools. Its cost is
    that of what is new alone; `record` and `replay` are as for `fuse`. Raises what `stream` raises.
    """
    again = stream_again(result, settings, retry=retry, record=record, replay=replay)
    return await _last(again)


def promote(result: FusionResult, member: str, /) -> FusionResult:
    """`result` with the answer of one member as its own, because the user has chosen it.

    It is a run of its own in the ledger, and costs nothing. Raises `ConfigError` for a name that is
    no member.
    """
    chosen = next((answer for answer in result.answers if answer.member == member), None)
    if chosen is None or not chosen.usable:
        names = [answer.member for answer in result.answers if answer.usable]
        raise ConfigError(f"{member!r} has no answer in this run.", did_you_mean(member, names))
    made = msgspec.structs.replace(
        result,
        run=new_name(),
        text=chosen.text,
        verdict=Verdict(decided_by="you", best=member, reason="You chose it."),
        answers=_earlier(result),
        fields=(),
        judging=(),
        notes=(),
        status="complete",
        seconds=0.0,
        started_at=now(),
        version=__version__,
    )
    if history().on:
        from nbfuse.ledger.ledger import Ledger

        try:
            Ledger().end(made)
        except LedgerError as error:
            made = msgspec.structs.replace(made, notes=(f"{error.message} {error.hint}",))
    return made


def _earlier(result: FusionResult) -> tuple[Answer, ...]:
    """Its answers, marked as those of the run in which they were given."""
    return tuple(
        msgspec.structs.replace(answer, earlier=answer.earlier or result.run)
        for answer in result.answers
    )


def _listened(
    request: Request,
    stop: asyncio.Event | None,
    skip: asyncio.Queue[str] | None,
    record: str | Path | None,
    replay: Source | None,
) -> AsyncGenerator[Event]:
    """The events of a run, which the ledger hears too, unless nobody is asked."""
    from nbfuse.fusion import engine  # with asyncio it is most of what an import would cost

    kept = history()
    measured = _measured(request.pool) if kept.on else None
    if replay is not None:
        from nbfuse.replay import replayed

        events = replayed(replay, request, stop, skip, measured=measured)
    elif record is not None:
        from nbfuse.replay import recorded_into

        events = recorded_into(record, request, stop, skip, measured=measured)
    else:
        events = engine.stream(request, stop, skip, measured=measured)
    if not kept.on or (replay is not None and not replay.asks(request.pool)):
        return events
    from nbfuse.ledger.ledger import Ledger
    from nbfuse.ledger.recorder import recorded

    return recorded(events, Ledger(), kept.days)


def _measured(pool: Pool) -> Measured | None:
    """What is known of these models from evaluations; a run does without, if it can't be read."""
    from nbfuse.ledger.ledger import Ledger

    with contextlib.suppress(LedgerError):
        return Ledger().measured(pool)
    return None


def _source(record: str | Path | None, replay: Source | str | Path | None) -> Source | None:
    """What a run is replayed from; raises `ConfigError`."""
    if replay is None:
        return None
    if record is not None:
        raise ConfigError("A run is recorded or replayed.", "Leave one of them out.")
    from nbfuse.replay import source_of

    return source_of(replay)


def _chosen(
    prompt: str, pool: Pool | str | None, settings: dict[str, object], source: Source | None
) -> Pool:
    """The pool meant; where none is and something is replayed, the one that was asked then."""
    if pool is None and source is not None:
        pool = source.pool_for(prompt)
    return choose(pool, settings)


async def _last(events: AsyncGenerator[Event]) -> FusionResult:
    result = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, RunFinished):
                result = event.result
    if result is None:
        raise NbfuseError("The run ended without a result.", "Please report this.")
    return result


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
