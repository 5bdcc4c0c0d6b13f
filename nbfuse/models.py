"""Every model that a pool can be made of, with what one wants to know when choosing."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from nbfuse.advice import known_rates
from nbfuse.core.errors import ConfigError
from nbfuse.core.families import family
from nbfuse.local.catalog import catalog
from nbfuse.local.fit import fits
from nbfuse.local.memory import available
from nbfuse.providers.protocol import ModelInfo
from nbfuse.report import known_models

MILLION = Decimal(1_000_000)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A model: prices in US dollars a million tokens, `rate` in tokens a second as seen here."""

    spec: str
    name: str
    family: str
    about: str
    context: int | None
    reads: float | None
    writes: float | None
    local: bool
    here: bool
    fits: bool | None
    zdr: bool | None
    rate: float | None


async def listed() -> tuple[list[Listed], list[str]]:
    """All models, and a line for each place that could not be asked."""
    found, troubles = await known_models()
    specs = {spec for spec, _ in found}
    away = {f"local:{name}": model.info(name) for name, model in catalog().items()}
    rates = known_rates()
    memory = _memory()
    models = [_listed(spec, info, spec in specs, rates, memory) for spec, info in found]
    models += [
        _listed(spec, info, False, rates, memory)
        for spec, info in away.items()
        if spec not in specs
    ]
    return models, troubles


def _memory() -> int | None:
    try:
        return available()
    except ConfigError:  # without psutil the rest can still be told
        return None


def _listed(
    spec: str, info: ModelInfo, here: bool, rates: dict[str, float], memory: int | None
) -> Listed:
    room: bool | None = None
    if spec.startswith("local:") and memory is not None:
        room = fits(catalog()[spec.removeprefix("local:")], memory)
    return Listed(
        spec=spec,
        name=info.name or spec.partition(":")[2],
        family=family(spec),
        about=info.expertise,
        context=info.context,
        reads=0.0 if info.local else _per_million(info.prompt_price),
        writes=0.0 if info.local else _per_million(info.completion_price),
        local=info.local,
        here=here,
        fits=room,
        zdr=True if info.local else info.zdr,
        rate=rates.get(spec),
    )


def _per_million(price: Decimal | None) -> float | None:
    return None if price is None else float(price * MILLION)
