"""Who reviews: names, interests, weighed criteria, and the evidence that each gets to see.

They are data: `reviewers.toml` here, and the tables `[reviewers.NAME]` of the user's own files.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from nbfuse.config import own_reviewers
from nbfuse.core.errors import ConfigError, did_you_mean

Kind = Literal[
    "answers", "accuracy", "latency", "cost", "failures", "licence", "size", "context", "privacy"
]


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is marked, and how much it weighs beside the others."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=100)]
    about: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Reviewer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A point of view. `sees` are the kinds of evidence that count for it."""

    name: str = ""
    interest: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    sees: tuple[Kind, ...]
    criteria: Annotated[dict[str, Criterion], msgspec.Meta(min_length=1, max_length=8)]

    def score(self, marks: Mapping[str, float], most: int) -> float:
        """What marks come to, out of 100: their weighed mean, 0 to `most` each."""
        weights = {name: one.weight for name, one in self.criteria.items()}
        return 100 * sum(weights[n] * marks[n] for n in weights) / (most * sum(weights.values()))


def reviewers(folder: Path | None = None) -> dict[str, Reviewer]:
    """Every reviewer by name, as seen from `folder` (None: the working one).

    A table of the user's own with `off = true` leaves one out. Raises `ConfigError`.
    """
    found = dict(_built_in())
    for path, tables in own_reviewers(folder):
        for name, table in tables.items():
            if isinstance(table, dict) and table.get("off") is True:
                found.pop(name, None)
                continue
            found[name] = _reviewer(name, table, str(path))
    if not found:
        raise ConfigError("There is no reviewer left.", "Leave one of them on.")
    return found


@functools.cache
def _built_in() -> dict[str, Reviewer]:
    text = Path(__file__).with_name("reviewers.toml").read_text(encoding="utf-8")
    return {name: _reviewer(name, table, "nbfuse") for name, table in tomllib.loads(text).items()}


def _reviewer(name: str, table: object, where: str) -> Reviewer:
    try:
        found = msgspec.convert(table, Reviewer)
    except msgspec.ValidationError as error:
        hint = 'It needs interest = "…", sees = ["answers", …] and [reviewers.NAME.criteria].'
        if isinstance(table, dict) and isinstance(sees := table.get("sees"), list):
            strange = [str(one) for one in sees if one not in get_args(Kind)]
            hint = did_you_mean(strange[0], get_args(Kind)) if strange else hint
        raise ConfigError(f"{where}: reviewers.{name}: {error}.", hint) from None
    return msgspec.structs.replace(found, name=name)
