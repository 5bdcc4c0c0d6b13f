"""Gets a model to answer in JSON: schema, then plain JSON mode, then one more try, then no more.

A parse error never decides anything: what can't be read and checked is refused.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from nbfuse.core.call import Call, Message
from nbfuse.core.errors import BadRequestError, BadResponseError, ModelNotFoundError
from nbfuse.core.types import Answer

_T = TypeVar("_T")


async def ask_json(
    ask: Callable[[Call], Awaitable[Answer]],
    call: Call,
    kind: type[_T],
    check: Callable[[_T], None],
) -> _T:
    """A model's reply as `kind`, a struct, after `check` has let it pass by not raising ValueError.

    Raises a `ModelError` when the model can't be asked or twice gives nothing valid.
    """
    answer, call = await first_reply(ask, call)
    try:
        return _read(answer.text, kind, check)
    except ValueError as error:
        complaint = str(error)
    again = Message(
        "user",
        f"That reply can't be used: {complaint}. Reply again with nothing but the JSON object.",
    )
    said = Message("assistant", answer.text)
    call = msgspec.structs.replace(call, messages=(*call.messages, said, again))
    answer = await ask(call)
    try:
        return _read(answer.text, kind, check)
    except ValueError as error:
        raise BadResponseError(
            f"{answer.member} gave no valid JSON: {error}.", "Try a model that can write JSON."
        ) from error


async def first_reply(
    ask: Callable[[Call], Awaitable[Answer]], call: Call, told: Call | None = None
) -> tuple[Answer, Call]:
    """An answer, and the call that brought it: with a schema, in JSON mode, or just asked for.

    `told` is the call with the schema in words, for servers that take no other.
    """
    plain = msgspec.structs.replace(told or call, schema=None)
    for step in (call, msgspec.structs.replace(plain, json_mode=True)):
        try:
            return await ask(step), step
        except (BadRequestError, ModelNotFoundError):
            continue  # no such format here; OpenRouter says 404 where no endpoint has it
    return await ask(plain), plain


@functools.cache  # it takes a millisecond, and is the same for every call
def schema_of(kind: type) -> dict[str, object]:
    """The JSON schema of a struct in strict form: every field is required, no others allowed."""
    schema = msgspec.json.schema(kind)
    for part in (schema, *schema.get("$defs", {}).values()):
        if part.get("type") == "object":
            part |= {"additionalProperties": False, "required": list(part["properties"])}
    return schema


def _read(text: str, kind: type[_T], check: Callable[[_T], None]) -> _T:
    """The last object in `text` that can be used; who thinks aloud means what he says last."""
    complaint = "it holds no whole JSON object"
    for found in reversed(find_objects(text)):
        try:
            value = msgspec.convert(found, kind)
            check(value)
        except ValueError as error:
            complaint = str(error)
        else:
            return value
    raise ValueError(complaint)


def find_objects(text: str) -> list[dict[str, object]]:
    """The JSON objects in `text`, fenced or among prose, without those inside of others.

    An object that is cut off is not one: what is missing could have been the verdict.
    """
    return [value for value, _ in _objects(text)]


def object_texts(text: str) -> list[str]:
    """The same objects as the texts that they are, for whoever reads numbers exactly."""
    return [found for _, found in _objects(text)]


def _objects(text: str) -> list[tuple[dict[str, object], str]]:
    decoder, found, start = json.JSONDecoder(), [], text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append((value, text[start:end]))
        start = text.find("{", end)
    return found
