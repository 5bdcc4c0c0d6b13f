"""Local models as a provider: the engine's server behind the same client as any other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from weakref import WeakKeyDictionary

import msgspec

from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk, Message
from nbfuse.local.answer import answer
from nbfuse.local.catalog import LocalModel, catalog, check_file, find
from nbfuse.local.embed import embed
from nbfuse.local.kinds import kind_for
from nbfuse.local.samples import Samples
from nbfuse.providers.protocol import ModelInfo

# The engine parses the rendered prompt as a whole, so these words in a text would become control
# tokens and could end the user's turn.
_CONTROL = re.compile(
    r"</?s>|<__media__>|<\|\w+\|>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID"
    r"|IMG|THINK)\]"
)


class Local:
    """Answers calls for the models of the catalog, or for files as `lookup` finds them by name."""

    local = True

    def __init__(self, lookup: Callable[[str], LocalModel] = find) -> None:
        self._model = lookup
        self._samples: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], Samples]]
        self._samples = WeakKeyDictionary()

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield the answer as it is generated; closing the iterator stops the computation."""
        model = self._model(call.model)
        mine = self._samples.setdefault(asyncio.get_running_loop(), {})
        kind = kind_for(check_file(model, call.model))
        most = model.slots if kind.samples else 1
        samples = mine.setdefault((call.model, most), Samples(self._ask, most))
        async with aclosing(samples.stream(_suited(call, model))) as chunks:
            async for chunk in chunks:
                yield chunk

    def _ask(self, call: Call, said: Sequence[str]) -> AsyncGenerator[Chunk]:
        return answer(self._model(call.model), call, said)

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Give a vector for each text, by an engine that is started for that."""
        return await embed(self._model(model), model, [disarm(text) for text in texts])

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
        info = msgspec.structs.replace(found.info(model), embeds=not path.is_dir())  # not with MLX
        try:
            kind = kind_for(path)
        except errors.NbfuseError:  # no engine: asking it will say so
            return msgspec.structs.replace(info, remembers=True)
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
