"""What is sent to a model and what streams back: messages, calls, chunks.

Frozen structs that round-trip through JSON, as those of `types`. Money is `Decimal` US dollars or
None for unknown, durations are seconds, token counts are ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant"]


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation; `images` are data URLs."""

    role: Role
    content: str
    images: tuple[str, ...] = ()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to one model; None leaves a setting to the server.

    `schema` is a JSON schema that the answer must obey, `json_mode` asks for any JSON object,
    `grammar` is GBNF (local models only). `timeout_s` bounds the whole call, retries included.
    `n` asks for several samples in one stream (of local engines only).
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: Mapping[str, object] | None = None
    json_mode: bool = False
    grammar: str | None = None
    top_logprobs: int | None = None
    timeout_s: float | None = None
    n: int = 1


class Usage(msgspec.Struct, frozen=True):
    """Tokens of a call as its server counted them, and its cost in US dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = None


class TokenLogprob(msgspec.Struct, frozen=True):
    """A generated token, and the likeliest tokens at its place as (token, log-probability)."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a streamed answer; only what arrived is filled in.

    `index` is the number of the sample that it belongs to.
    """

    text: str = ""
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: Usage | None = None
    finish: str | None = None
    generation_id: str | None = None
    model: str | None = None
    provider: str | None = None
    index: int = 0
