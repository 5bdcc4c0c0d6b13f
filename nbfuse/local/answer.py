"""One answer of a local model, in one piece or in several, each going on from the text so far.

A process that reads a prompt which nobody waits for can only be ended; what else it was working on
goes on with the next one. And where answers together have filled llama.cpp's context, it drops all
of them; each goes on when it has the context for itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from decimal import Decimal
from functools import partial

import msgspec

from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk, Message
from nbfuse.core.threads import off_loop
from nbfuse.local.catalog import LocalModel, check_file
from nbfuse.local.child import Flight
from nbfuse.local.engine import Server, engine
from nbfuse.local.kinds import kind_for
from nbfuse.local.speeds import keep_speed
from nbfuse.local.turns import turns_at
from nbfuse.providers.http import Limits
from nbfuse.providers.keys import Secret
from nbfuse.providers.openai import OpenAI

# llama.cpp sends nothing while it reads a prompt, and now and then closes a kept connection under
# the next request (7 of 48 on a busy machine); a new connection costs 0.6 ms.
LIMITS = Limits(first_s=600.0, idle_s=600.0, quiet_s=600.0, keep_alive=False)


# as llama.cpp says it where answers together do it
_FULL = re.compile("Context size has been exceeded|Invalid input batch")
LONGEST_TOKEN = 128  # characters: what is longer and comes in one piece is an echo


class _MovedError(Exception):
    """The process was ended for the sake of another request."""


class CrowdedError(Exception):
    """There was no room for all samples beside others; each can be gone on with by itself."""

    def __init__(self, resumable: bool, error: errors.ModelError) -> None:
        super().__init__(error.message)
        self.resumable, self.error = resumable, error


async def answer(model: LocalModel, call: Call, said: Sequence[str] = ()) -> AsyncGenerator[Chunk]:
    """Yield the answer of `model` as it is generated, after what it has `said`, a token each.

    Within a batch the last digits of a result depend on who else is in it: a call with a seed has
    the model for itself. Raises a `ModelError`, or `CrowdedError` where several samples are asked.
    """
    said = list(said)
    turns = turns_at(check_file(model, call.model))
    alone = call.seed is not None
    while True:
        earlier, first = len(said), bool(said)
        one = _from_one(model, _going_on(call, said))
        try:
            async with turns.take(alone), aclosing(one) as chunks:
                async for chunk in chunks:
                    new = chunk.text
                    if new and first:
                        new, first = _after(model, "".join(said), new), False
                    if new:
                        said.append(new)
                    usage = chunk.usage
                    if usage is not None and earlier:
                        whole = usage.completion_tokens + earlier
                        usage = msgspec.structs.replace(usage, completion_tokens=whole)
                    yield msgspec.structs.replace(chunk, text=new, usage=usage)
            return
        except _MovedError:
            continue
        except CrowdedError as crowded:
            if alone or not crowded.resumable:
                raise crowded.error from None
            if call.n > 1:
                raise
            alone = True


def _after(model: LocalModel, said: str, text: str) -> str:
    """What is new in the first piece of text, with which llama-server repeats what was said."""
    echoes = kind_for(check_file(model)).echoes or len(said) > LONGEST_TOKEN
    return text.removeprefix(said) if echoes else text


def _going_on(call: Call, said: list[str]) -> Call:
    """`call`, or what is left of it after `said`, a token each."""
    if not said:
        return call
    limit = None if call.max_tokens is None else max(1, call.max_tokens - len(said))
    so_far = Message("assistant", "".join(said))
    return msgspec.structs.replace(call, messages=(*call.messages, so_far), max_tokens=limit)


async def _from_one(model: LocalModel, call: Call) -> AsyncGenerator[Chunk]:
    server = await off_loop(partial(engine.serve, model, call.model))
    client = OpenAI(
        server.base_url, Secret(server.key), place="The local engine", llama=True, limits=LIMITS
    )
    begun: float | None = None  # when its first token had come
    ended = False
    try:
        with engine.using(server) as flight:
            plain = server.child.kind.continues and _can_go_on(call)
            flight.resumable = plain and call.n == 1
            try:
                async with aclosing(client.stream(call)) as chunks:
                    async for chunk in chunks:
                        plain = plain and not chunk.reasoning
                        flight.resumable = plain and call.n == 1
                        if begun is None and (chunk.text or chunk.reasoning or chunk.finish):
                            begun = time.monotonic()
                        usage = chunk.usage
                        if usage is not None:
                            if begun is not None and call.n == 1:
                                later = usage.completion_tokens - 1
                                keep_speed(call.model, later, time.monotonic() - begun)
                            usage = msgspec.structs.replace(usage, cost=Decimal(0))
                        yield msgspec.structs.replace(chunk, model=call.model, usage=usage)
                ended = True
            except (errors.ProviderUnavailableError, errors.StreamBrokenError) as error:
                if _FULL.search(error.message):
                    raise CrowdedError(plain or begun is None, _full(error, call.model)) from error
                await _explain(error, server, flight, call.model)
                raise
    finally:
        if not ended and begun is None:
            engine.abandon(server)


def _can_go_on(call: Call) -> bool:
    """Whether text alone is asked for, which can be begun anywhere."""
    bound = call.schema is not None or call.json_mode or call.grammar is not None
    return not bound and call.top_logprobs is None


def _full(error: errors.ModelError, model: str) -> errors.ModelError:
    return errors.StreamBrokenError(
        f"{model}: several answers at once have filled its context.",
        "Ask fewer at once, or give it a longer context in models.toml.",
        partial_text=getattr(error, "partial_text", ""),
    )


async def _explain(error: errors.ModelError, server: Server, flight: Flight, model: str) -> None:
    """Raise what is behind an error, where more is known of it than it says."""
    if flight.ended:
        raise _MovedError from None
    if (death := await off_loop(server.child.death)) is not None:
        raise errors.StreamBrokenError(
            f"The local engine stopped while {model} answered: {death}.",
            "Run the cell again: it starts anew.",
            partial_text=getattr(error, "partial_text", ""),
        ) from error
