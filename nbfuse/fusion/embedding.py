"""The model that tells how alike free texts are: it is local, so that no answer leaves for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import labels
from nbfuse.providers.protocol import Embedder
from nbfuse.providers.registry import Target, resolve

_INSTEAD = 'Name a GGUF file on this machine, embedding = "gguf:path/to/model.gguf", or none.'


class Embedding(NamedTuple):
    """An embedding model, and who knows it under which name."""

    label: str
    model: str
    provider: Embedder


async def find_embedding(spec: str, resolve: Callable[[str], Target] = resolve) -> Embedding:
    """The embedding model that `spec` names; raises `ConfigError` where it can't be used."""
    target = resolve(spec)
    provider, model = target.provider, target.model
    (label,) = labels((spec,))
    if not (provider.local or target.replayed):
        raise ConfigError(f"The embedding model {spec} would have answers leave here.", _INSTEAD)
    (info,) = await provider.describe([model])
    if info.missing:
        raise ConfigError(f"The embedding model can't be asked. {info.missing}", _INSTEAD)
    if not info.embeds or not isinstance(provider, Embedder):
        raise ConfigError(f"{spec} can't be used as an embedding model.", _INSTEAD)
    return Embedding(label, model, provider)
