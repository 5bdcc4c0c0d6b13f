"""The list of models that a server offers, with prices; OpenRouter's is kept on disk for a day."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from nbfuse.paths import cache_folder, write_atomically
from nbfuse.providers import http
from nbfuse.providers.protocol import ModelInfo

MAX_AGE_S = 24 * 3600
TIMEOUT_S = 10.0


class _Pricing(msgspec.Struct):
    prompt: str | None = None
    completion: str | None = None


class _TopProvider(msgspec.Struct):
    max_completion_tokens: int | None = None


class _Model(msgspec.Struct):
    id: str
    name: str | None = None
    context_length: int | None = None
    pricing: _Pricing | None = None
    top_provider: _TopProvider | None = None
    supported_parameters: tuple[str, ...] | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Kept(msgspec.Struct):
    fetched: float
    models: list[ModelInfo]


async def fetch_models(base_url: str, headers: Mapping[str, str]) -> list[ModelInfo]:
    """Ask `base_url` for its models; raises the exceptions of `http`, or `MsgspecError`."""
    body = await http.get_body(base_url, "/models", headers, TIMEOUT_S)
    return [
        ModelInfo(
            id=model.id,
            name=model.name or "",
            context=model.context_length,
            max_output=model.top_provider.max_completion_tokens if model.top_provider else None,
            prompt_price=_dollars(model.pricing.prompt if model.pricing else None),
            completion_price=_dollars(model.pricing.completion if model.pricing else None),
            parameters=model.supported_parameters or (),
        )
        for model in msgspec.json.decode(body, type=_Models).data
    ]


def _dollars(price: str | None) -> Decimal | None:
    """A price of OpenRouter, a string of US dollars a token; -1 says that it varies."""
    try:
        dollars = Decimal(price) if price else None
    except InvalidOperation:
        return None
    return dollars if dollars is not None and dollars >= 0 else None


def kept_models(base_url: str, max_age_s: float = MAX_AGE_S) -> list[ModelInfo] | None:
    """The list on disk, if it is younger than `max_age_s` seconds; never asks the network."""
    try:
        kept = msgspec.json.decode(_file(base_url).read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    return kept.models if time.time() - kept.fetched < max_age_s else None


def keep_models(base_url: str, models: list[ModelInfo]) -> None:
    """Put the list on disk; a disk that can't be written costs only the next fetch."""
    try:
        text = msgspec.json.encode(_Kept(time.time(), models)).decode()
        write_atomically(_file(base_url), text)
    except OSError:
        return


def _file(base_url: str) -> Path:
    digest = hashlib.sha256(base_url.encode()).hexdigest()[:12]
    return cache_folder() / f"models-{digest}.json"
