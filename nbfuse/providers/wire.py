"""The JSON of OpenAI's chat completions: requests out, chunks in. No I/O.

Unknown fields are ignored and nulls accepted, since every server adds some. Source: OpenRouter's
and OpenAI's API documentation; llama.cpp's server for `grammar` and `top_logprobs` above 20.
"""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from nbfuse.core.call import Call, Chunk, Message, TokenLogprob, Usage


class WireError(msgspec.Struct):
    """An `error` object; `code` is a number or a word, `metadata` and `availability` vary."""

    message: str | None = None
    code: int | str | None = None
    type: str | None = None
    metadata: dict[str, object] | None = None
    availability: dict[str, object] | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: float | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: float | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: float | None = None  # some servers write 3.0
    completion_tokens: float | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    cost: Decimal | None = None


class _Top(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: tuple[_Top, ...] | None = None


class _Logprobs(msgspec.Struct):
    content: tuple[_Token, ...] | None = None


class _Part(msgspec.Struct):
    text: str = ""


class _Delta(msgspec.Struct):
    content: str | list[_Part] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None  # llama.cpp's and DeepSeek's name for it
    refusal: str | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None  # from servers that answer a stream request in one piece
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    error: WireError | str | None = None


class Payload(msgspec.Struct):
    """One event of a stream, or a whole reply."""

    id: str | int | None = None
    model: str | None = None
    provider: str | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: WireError | str | None = None

    def failure(self) -> WireError | None:
        """The error that this event carries, wherever the server put it."""
        found = self.error
        if found is None and self.choices:
            found = self.choices[0].error
        if isinstance(found, str):
            return WireError(message=found) if found else None
        return found if found is not None and found != WireError() else None


_payload = msgspec.json.Decoder(Payload)
_LONE_HALF = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def read_payload(data: str) -> Payload:
    """Parse one event; raises `msgspec.MsgspecError` when it is not such JSON."""
    try:
        return _payload.decode(data)
    except msgspec.DecodeError:
        if "\\ud" not in data.lower():
            raise
        # half of a surrogate pair, its other half in the next event: lost, but not the answer
        return _payload.decode(_LONE_HALF.sub("\\\\ufffd", data))


def to_chunk(payload: Payload, generation_id: str | None) -> Chunk:
    """What one event says."""
    text = reasoning = ""
    finish: str | None = None
    index = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    if payload.choices:
        choice = payload.choices[0]
        index = choice.index or 0
        finish = choice.finish_reason
        delta = choice.delta or choice.message
        if delta is not None:
            content = delta.content
            if isinstance(content, list):
                content = "".join(part.text for part in content)
            text = content or delta.refusal or ""
            reasoning = delta.reasoning or delta.reasoning_content or ""
            if delta.refusal:  # a stop follows, as if this were an answer
                finish = "content_filter"
        if choice.logprobs is not None and choice.logprobs.content:
            logprobs = tuple(map(_token, choice.logprobs.content))
    return Chunk(
        text=text,
        reasoning=reasoning,
        logprobs=logprobs,
        usage=None if payload.usage is None else _usage(payload.usage),
        finish=finish,
        generation_id=generation_id or (str(payload.id) if payload.id is not None else None),
        model=payload.model,
        provider=payload.provider,
        index=index,
    )


def _token(token: _Token) -> TokenLogprob:
    top = tuple((other.token, other.logprob) for other in token.top_logprobs or ())
    return TokenLogprob(token.token, token.logprob, top)


def _usage(usage: _Usage) -> Usage:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        prompt_tokens=int(usage.prompt_tokens or 0),
        completion_tokens=int(usage.completion_tokens or 0),
        cached_tokens=int((prompt.cached_tokens if prompt else None) or 0),
        reasoning_tokens=int((completion.reasoning_tokens if completion else None) or 0),
        cost=usage.cost,
    )


def _message(message: Message) -> dict[str, object]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
    text = {"type": "text", "text": message.content}
    return {"role": message.role, "content": [text, *pictures]}


def write_request(call: Call, require_parameters: bool, llama: bool = False) -> bytes:
    """The body of a streaming request; settings that are None are left out.

    `require_parameters` asks OpenRouter for providers that honour a schema, instead of dropping it.
    `llama` is llama.cpp's dialect: its own settings, and a schema in the form that all of its
    servers read.
    """
    body: dict[str, object] = {
        "model": call.model,
        "messages": [_message(message) for message in call.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name in ("temperature", "top_p", "max_tokens", "seed", "grammar"):
        if (value := getattr(call, name)) is not None:
            body[name] = value
    if llama and call.n > 1:
        body["n"] = call.n
    if llama and call.seed is not None:  # what it remembers would change the last digits
        body["cache_prompt"] = False
    if call.stop:
        body["stop"] = call.stop
    if llama and call.schema is not None:
        body["response_format"] = {"type": "json_object", "schema": call.schema}
    elif call.schema is not None:
        schema = {"name": "reply", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif call.json_mode:
        body["response_format"] = {"type": "json_object"}
    if call.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": call.top_logprobs}
    if require_parameters and "response_format" in body:
        body["provider"] = {"require_parameters": True}
    return msgspec.json.encode(body)
