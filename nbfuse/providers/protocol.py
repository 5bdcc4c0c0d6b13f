"""What a provider is: one class that streams chunks, lists models, and can be closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Literal, Protocol, runtime_checkable

import msgspec

from nbfuse.core.call import Call, Chunk


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before it is asked; prices are US dollars a token.

    `repeatable` tells that the same seed is promised to be the same answer, `remembers` that a
    prompt which begins like an earlier one is read on from where they part, at no price.
    `vision` tells whether it sees pictures, None where that is not known.
    `zdr` tells whether some server of it keeps nothing of what it is asked (zero data retention).
    `temperature` is the one it is used with where nobody asks for another; `missing` says why a
    model can't be asked, where that is known. `embeds` tells that its provider, which is an
    `Embedder` then, can have it embed texts.
    `form` tells how it may judge: `full` with a rubric and a JSON schema, `compact` with one short
    `check` question for each candidate, answered yes or no, and `none` not at all.
    """

    id: str
    name: str = ""
    context: int | None = None
    max_output: int | None = None
    prompt_price: Decimal | None = None
    completion_price: Decimal | None = None
    parameters: tuple[str, ...] = ()
    local: bool = False
    repeatable: bool = False
    remembers: bool = False
    vision: bool | None = None
    zdr: bool | None = None
    temperature: float | None = None
    form: Literal["full", "compact", "none"] = "full"
    check: str = ""
    missing: str = ""
    embeds: bool = False
    expertise: str = ""


class Provider(Protocol):
    """One place that answers calls. Everything it raises is a `ModelError`.

    `local` tells whether a call stays on this machine.
    """

    local: bool

    def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield the answer as it arrives; closing the iterator stops the work behind it."""
        ...

    async def models(self) -> list[ModelInfo]:
        """List the models that can be asked for."""
        ...

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """Tell what is known of each model without asking it; where nothing is, its name alone."""
        ...

    async def aclose(self) -> None:
        """Drop connections."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """What a provider may be besides: one that says where texts lie. It raises `ModelError`s."""

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Give a vector for each text; who says the same lies in the same direction."""
        ...
