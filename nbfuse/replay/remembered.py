"""What was known of models when they were recorded, to plan with; nobody can be asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from nbfuse.core.call import Call, Chunk
from nbfuse.core.errors import BadRequestError
from nbfuse.providers.protocol import ModelInfo
from nbfuse.providers.recording import Told


class Remembered:
    """The provider of one recorded model."""

    def __init__(self, told: Told) -> None:
        self.local, self._told = told.local, told

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:  # noqa: ARG002
        """Refuse: only a recorded run answers."""
        raise BadRequestError(f"{self._told.spec} is only remembered.", "Replay a whole run.")
        yield Chunk()  # what makes it a generator

    async def models(self) -> list[ModelInfo]:
        """Tell the one that it knows."""
        return [self._told.info]

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """Tell what was known then."""
        return [self._told.info for _ in models]

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""
