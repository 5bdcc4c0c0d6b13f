"""Local models as a provider: the engine's server behind the same client as any other."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from decimal import Decimal
from functools import partial
from weakref import WeakKeyDictionary

import msgspec

from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk, Message
from nbfuse.core.threads import off_loop
from nbfuse.local.catalog import LocalModel, catalog, check_file, find
from nbfuse.local.engine import engine
from nbfuse.local.kinds import kind_for
from nbfuse.local.samples import Samples
from nbfuse.local.speeds import keep_speed
from nbfuse.providers.http import Limits
from nbfuse.providers.keys import Secret
from nbfuse.providers.openai import OpenAI
from nbfuse.providers.protocol import ModelInfo

# The engine parses the rendered prompt as a whole, so these words in a text would become control
# tokens and could end the user's turn.
_CONTROL = re.compile(
    r"</?s>|<__media__>|<\|\w+\|>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID"
    r"|IMG|THINK)\]"
)

# llama.cpp sends nothing while it reads a prompt, and now and then closes a kept connection under
# the next request (7 of 48 on a busy machine); a new connection costs 0.6 ms.
ENGINE_LIMITS = Limits(first_s=600.0, idle_s=600.0, quiet_s=600.0, keep_alive=False)


class Local:
    """Answers calls for the models of the catalog, or for files as `lookup` finds them by name."""

    local = True

    def __init__(self, lookup: Callable[[str], LocalModel] = find) -> None:
        self._model = lookup
        self._samples: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Samples]]
        self._samples = WeakKeyDictionary()

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield the answer as it is generated; closing the iterator stops the computation."""
        model = self._model(call.model)
        mine = self._samples.setdefault(asyncio.get_running_loop(), {})
        if call.model not in mine:
            kind = kind_for(check_file(model, call.model))
            most = model.slots if kind.samples else 1
            mine[call.model] = Samples(self._ask, most)
        async with aclosing(mine[call.model].stream(_suited(call, model))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _ask(self, call: Call) -> AsyncGenerator[Chunk]:
        model = self._model(call.model)
        server = await off_loop(partial(engine.serve, model, call.model))
        client = OpenAI(
            server.base_url,
            Secret(server.key),
            place="The local engine",
            llama=True,
            limits=ENGINE_LIMITS,
        )
        begun: float | None = None  # when its first token had come
        ended = False
        try:
            with engine.using(server):
                async with aclosing(client.stream(call)) as chunks:
                    async for chunk in chunks:
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
            if (death := await off_loop(server.child.death)) is None:
                raise
            raise errors.StreamBrokenError(
                f"The local engine stopped while {call.model} answered: {death}.",
                "Run the cell again: it starts anew.",
                partial_text=getattr(error, "partial_text", ""),
            ) from error
        finally:
            if not ended and begun is None:
                engine.abandon(server)

    async def models(self) -> list[ModelInfo]:
        """List the catalog's models whose file is there."""
        if self._model is not find:
            return []
        return [model.info(name) for name, model in catalog().items() if model.here]

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """Tell what the catalog says of each model; of an unknown one, nothing."""
        return [self._describe(model) for model in models]

    def _describe(self, model: str) -> ModelInfo:
        try:
            found = self._model(model)
            path = check_file(found, model)
        except errors.ModelNotFoundError as error:  # asking it will say the same
            return ModelInfo(id=model, local=True, missing=str(error).replace("\n", " "))
        try:
            kind = kind_for(path)
        except errors.NbfuseError:  # no engine: asking it will say so
            return msgspec.structs.replace(found.info(model), remembers=True)
        info = found.info(model)
        return msgspec.structs.replace(
            info,
            repeatable=kind.repeatable,
            remembers=True,
            vision=info.vision and kind.vision,
        )

    async def aclose(self) -> None:
        """Do nothing: the engine is shared by the whole process and ends with it."""


def _suited(call: Call, model: LocalModel) -> Call:
    """`call` with the model's own defaults, and with text that can't become control tokens."""
    messages = [Message(m.role, disarm(m.content), m.images) for m in call.messages]
    if model.system is not None and messages[0].role != "system":
        messages.insert(0, Message("system", model.system))
    return msgspec.structs.replace(
        call,
        messages=tuple(messages),
        temperature=model.temperature if call.temperature is None else call.temperature,
        top_p=model.top_p if call.top_p is None else call.top_p,
        max_tokens=call.max_tokens or model.max_tokens,
    )


def disarm(text: str) -> str:
    """`text` with the control words of chat templates broken, so that they stay text."""
    return _CONTROL.sub(lambda match: match[0][0] + "\u200b" + match[0][1:], text)
