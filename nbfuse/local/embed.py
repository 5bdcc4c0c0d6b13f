"""Where texts lie by an embedding model: vectors from an engine that is started for them alone.

A text longer than one batch is embedded in halves, and lies at the mean of them, by their lengths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import msgspec

from nbfuse.core import errors
from nbfuse.core.threads import off_loop
from nbfuse.local.answer import LIMITS
from nbfuse.local.catalog import LocalModel, check_file
from nbfuse.local.engine import Server, engine
from nbfuse.local.fit import read_head
from nbfuse.providers import http
from nbfuse.providers.keys import Secret

LONGEST = 512  # tokens that are read at once: small models know no more, and memory grows with it
LEAST = 16  # characters: what is too long even so is no matter of length
_POOLINGS = {1: "mean", 2: "cls", 3: "last"}  # as llama.cpp numbers them
_TOO_LONG = re.compile(r"too large to process|exceeds the available context")  # in its words
_JSON = (("content-type", "application/json"),)


class _TooLongError(Exception):
    """The text is longer than a batch."""


class _Asked(NamedTuple):
    """Who is asked, what errors call it, and how many tokens it reads at once."""

    server: Server
    name: str
    most: int


class _Place(msgspec.Struct):
    embedding: list[float | list[float]]  # of a text, or of each of its tokens


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Reply(msgspec.Struct):
    data: list[_Place]
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Why(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Why


async def embed(model: LocalModel, name: str, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text; raises a `ModelError`, `ConfigError` where there is no engine.

    Vectors are pooled as the file says, else, for a model that was made to write, as the mean of
    its tokens.
    """
    path = check_file(model, name)
    head = await off_loop(partial(read_head, path))
    context = min(LONGEST, head.number("context_length", LONGEST))
    pooling = _POOLINGS.get(head.number("pooling_type"), "mean")
    alone = msgspec.structs.replace(model, context=context, slots=1)
    server = await off_loop(partial(engine.serve, alone, name, pooling))
    ended = False
    try:
        with engine.using(server):
            vectors = [await _vector(_Asked(server, name, context), text) for text in texts]
        ended = True
    finally:
        if not ended:
            engine.abandon(server)
    return vectors


async def _vector(asked: _Asked, text: str) -> list[float]:
    try:
        return await _ask(asked, text)
    except _TooLongError as error:
        if len(text) <= LEAST:
            raise errors.BadResponseError(
                f"{asked.name} can't embed a text of {len(text)} characters: {error}.",
                "Choose another embedding model.",
            ) from error
    middle = len(text) // 2
    cut = text.find(" ", middle, len(text) - 1)
    halves = (text[:cut], text[cut:]) if cut > 0 else (text[:middle], text[middle:])
    one, other = [await _vector(asked, half) for half in halves]
    share = len(halves[0]) / len(text)
    return [share * x + (1 - share) * y for x, y in zip(one, other, strict=True)]


async def _ask(asked: _Asked, text: str) -> list[float]:
    """The vector of a text that fits; raises `_TooLongError` for another."""
    server, name, most = asked
    address = http.Address(server.base_url, Secret(server.key), _JSON, LIMITS)
    body = msgspec.json.encode({"model": name, "input": [text], "encoding_format": "float"})
    try:
        replies = http.post_events(address, "/embeddings", body, LIMITS.first_s)
        async with aclosing(replies):
            said = "".join([piece async for piece in replies if isinstance(piece, str)])
        reply = msgspec.json.decode(said, type=_Reply)
        (place,) = reply.data
    except http.Rejected as error:
        reason = _reason(error.body)
        if _TOO_LONG.search(reason):
            raise _TooLongError(reason) from None
        raise _failed(name, reason) from None
    except (http.Unreachable, http.TooSlow, http.Broken) as error:
        death = await off_loop(server.child.death)
        raise _failed(
            name, f"the local engine stopped: {death}" if death else str(error)
        ) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise _failed(name, f"that is no vector ({error})") from error
    if reply.usage.prompt_tokens >= most:  # llama-cpp-python leaves out the rest without a word
        raise _TooLongError(f"it has {most:,} tokens or more")
    return _pooled(place.embedding)


def _reason(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Refusal).error.message
    except msgspec.MsgspecError:
        return body[:200].decode("utf-8", errors="replace")


def _failed(name: str, reason: str) -> errors.BadResponseError:
    return errors.BadResponseError(
        f"{name} could not embed the answers: {reason.rstrip('.')}.",
        "Is it an embedding model, in one whole GGUF file?",
    )


def _pooled(places: Sequence[float | list[float]]) -> list[float]:
    """The vector of a text; llama-cpp-python gives one for each token of a model made to write."""
    tokens = [place for place in places if isinstance(place, list)]
    if not tokens:
        return [place for place in places if not isinstance(place, list)]
    return [sum(column) / len(tokens) for column in zip(*tokens, strict=True)]
