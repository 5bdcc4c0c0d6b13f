"""Who is compared: models, pools, and results that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from nbfuse.comparison.voting import POOL
from nbfuse.config import load_pool
from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import Pool, expand, make_pool
from nbfuse.core.types import FusionResult
from nbfuse.evaluation.journal import asked_settings
from nbfuse.ledger.ledger import Ledger

RUN = "run:"  # what the name of a run in the ledger begins with, where contenders are named
LEAST, MOST = 2, 4


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison, asked as `pool`: a model is a pool of one.

    `name` is what votes know it by; `result` is what it has said already, where that is compared.
    """

    name: str
    kind: Literal["model", "pool", "result"]
    pool: Pool
    result: FusionResult | None = None

    @property
    def specs(self) -> tuple[str, ...]:
        """The models that have a part in its answers, its judges included, each once."""
        judges = (self.pool.judge, self.pool.second_judge) if self.kind != "model" else ()
        return tuple(dict.fromkeys((*expand(self.pool.members), *filter(None, judges))))


def read_contenders(given: Sequence[object]) -> tuple[Contender, ...]:
    """Two to four contenders from specs, `pool:NAME`, `run:NAME`, pools and results.

    Raises `ConfigError` for another number, or for what is none; `LedgerError` for an unknown run.
    """
    if not LEAST <= len(given) <= MOST:
        raise ConfigError(
            f"{len(given)} contender{'s' * (len(given) != 1)} can't be compared.",
            f"Name {LEAST} to {MOST}: models, pool:NAME, run:NAME or results.",
        )
    found = [_contender(one) for one in given]
    names = [one.name for one in found]
    return tuple(
        msgspec.structs.replace(one, name=f"{one.name} #{names[: i + 1].count(one.name)}")
        if one.name in names[:i]
        else one
        for i, one in enumerate(found)
    )


def same_twice(contenders: Sequence[Contender]) -> list[str]:
    """What is to be said where two contenders are the same: they can differ by chance alone."""
    notes = []
    for i, one in enumerate(contenders):
        for other in contenders[:i]:
            if one.result is not None and other.result is not None:
                if one.result.run == other.result.run:
                    notes.append(f"{other.name} and {one.name} are the same result.")
            elif one.result is other.result and asked_settings(one.pool) == asked_settings(
                other.pool
            ):
                notes.append(f"{other.name} and {one.name} are the same: they differ by chance.")
    return notes


def _contender(given: object) -> Contender:
    if isinstance(given, FusionResult):
        return _of_result(given)
    if isinstance(given, Pool):
        return Contender(name=f"{POOL}{given.name or 'unnamed'}", kind="pool", pool=given)
    if not isinstance(given, str):
        raise ConfigError(
            f"A {type(given).__name__} can't be compared.",
            "Give a model, pool:NAME, run:NAME, a Pool or a result.",
        )
    if given.startswith(POOL):
        pool = load_pool(given.removeprefix(POOL))
        return Contender(name=given, kind="pool", pool=pool)
    if given.startswith(RUN):
        return _of_result(Ledger().load(given.removeprefix(RUN)))
    alone = make_pool({"members": (given,)})
    kind: Literal["model", "pool"] = "model" if len(expand((given,))) == 1 else "pool"
    return Contender(name=given, kind=kind, pool=alone)


def _of_result(result: FusionResult) -> Contender:
    members = tuple(answer.spec for answer in result.answers)
    pool = make_pool(
        {**result.settings, "members": members, "judge": result.judge, "name": result.pool}
    )
    return Contender(name=f"{RUN}{result.run}", kind="result", pool=pool, result=result)
