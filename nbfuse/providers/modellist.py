"""The list of models that a server offers, with prices; OpenRouter's is kept on disk for a day."""

from __future__ import annotations

import contextlib
import hashlib
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from nbfuse.paths import cache_folder, write_atomically
from nbfuse.providers import http
from nbfuse.providers.protocol import ModelInfo

MAX_AGE_S = 24 * 3600
TIMEOUT_S = 3.0  # a run waits for it once a day, to know prices; it can do without


class _Pricing(msgspec.Struct):
    prompt: str | float | None = None
    completion: str | float | None = None


class _TopProvider(msgspec.Struct):
    max_completion_tokens: int | None = None


class _Architecture(msgspec.Struct):
    input_modalities: tuple[str, ...] | None = None


class _Model(msgspec.Struct):
    id: str
    name: str | None = None
    context_length: int | None = None
    pricing: _Pricing | None = None
    top_provider: _TopProvider | None = None
    supported_parameters: tuple[str, ...] | None = None
    architecture: _Architecture | None = None


class _Models(msgspec.Struct):
    data: list[msgspec.Raw]


class _Kept(msgspec.Struct):
    fetched: float
    models: list[ModelInfo]


async def fetch_models(address: http.Address, query: str = "") -> list[ModelInfo]:
    """Ask a server for its models; raises the exceptions of `http`, or `MsgspecError`."""
    body = await http.get_body(address, f"/models{query}", TIMEOUT_S)
    found = []
    for entry in msgspec.json.decode(body, type=_Models).data:
        with contextlib.suppress(msgspec.MsgspecError):  # one odd entry is no reason to lose all
            found.append(_info(msgspec.json.decode(entry, type=_Model)))
    return found


async def fetch_openrouter(address: http.Address) -> list[ModelInfo]:
    """OpenRouter's models, with whether some server of each keeps nothing; raises as above."""
    every = await fetch_models(address)
    try:
        zdr = await fetch_models(address, "?zdr=true")  # on the connection that is open now
    except (http.Rejected, http.Unreachable, http.TooSlow, http.Broken, msgspec.MsgspecError):
        return every  # a gateway may not know that filter
    keep_nothing = {info.id for info in zdr}
    if keep_nothing == {info.id for info in every}:  # nor say so
        return every
    return [msgspec.structs.replace(info, zdr=info.id in keep_nothing) for info in every]


def _info(model: _Model) -> ModelInfo:
    reads = model.architecture.input_modalities if model.architecture else None
    return ModelInfo(
        id=model.id,
        vision=None if reads is None else "image" in reads,
        name=model.name or "",
        context=model.context_length,
        max_output=model.top_provider.max_completion_tokens if model.top_provider else None,
        prompt_price=_dollars(model.pricing.prompt if model.pricing else None),
        completion_price=_dollars(model.pricing.completion if model.pricing else None),
        parameters=model.supported_parameters or (),
    )


def _dollars(price: str | float | None) -> Decimal | None:
    """A price of OpenRouter, a string of US dollars a token; -1 says that it varies."""
    try:
        dollars = Decimal(str(price)) if price is not None else None
    except InvalidOperation:
        return None
    if dollars is None or not dollars.is_finite() or dollars < 0:
        return None
    return dollars


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
