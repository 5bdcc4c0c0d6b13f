"""A pool: the members, the judge, the mode and the limits of a fusion, and model specs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import get_args

import msgspec

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.types import AnswerKind, Mode

MODES: tuple[Mode, ...] = get_args(Mode)
ANSWER_KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
DEADLINE_S = 300.0  # a local 3B on two cores writes 500 tokens in a minute, three of them in three

_REPEAT = re.compile(r"^(?P<spec>.+?)\s*\*\s*(?P<count>\d+)$")


class Pool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is asked, who judges, and within which limits.

    `members` are model specs: `openrouter:vendor/model`, `local:tiny-calc`, `gguf:path/to.gguf`,
    `openai:model@http://host/v1`; `…*3` asks one model three times. `quorum` is how many answers
    are enough (None: more than half, at least two), after which stragglers get `grace_s` seconds
    (None: a quarter of the time so far, between 1 and 5). `deadline_s` is the hard end of a run, of
    which members get four fifths. `budget` is US dollars for one run. `anchor` is the member
    trusted most (None: the first). Raises `ConfigError` for values that can't work.
    """

    members: tuple[str, ...]
    judge: str | None = None
    mode: Mode = "best-of"
    anchor: str | None = None
    answer: AnswerKind | None = None
    quorum: int | None = None
    grace_s: float | None = None
    deadline_s: float = DEADLINE_S
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    system: str | None = None
    budget: Decimal | None = None
    local_only: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError(f"{self._me} has no members.", 'Name at least one: members = ["…"].')
        check_words({"mode": self.mode, "answer": self.answer})
        count = len(expand(self.members))
        if self.quorum is not None and not 1 <= self.quorum <= count:
            raise ConfigError(
                f"{self._me} asks for a quorum of {self.quorum}, but has {count} members.",
                f"Choose a quorum from 1 to {count}.",
            )
        for field, least in (
            ("deadline_s", 0.1),
            ("grace_s", 0),
            ("max_tokens", 1),
            ("temperature", 0),
        ):
            value = getattr(self, field)
            if value is not None and not value >= least:
                raise ConfigError(f"{self._me}: {field} is {value}.", f"Give at least {least}.")

    @property
    def _me(self) -> str:
        return f"Pool {self.name!r}" if self.name else "The pool"


def check_words(settings: Mapping[str, object]) -> None:
    """Refuse words that a setting does not know; raises `ConfigError` with the nearest."""
    for name, known in (("mode", MODES), ("answer", ANSWER_KINDS)):
        word = settings.get(name)
        if isinstance(word, str) and word not in known:
            raise ConfigError(f"{name} can't be {word!r}.", did_you_mean(word, known))


def expand(specs: tuple[str, ...]) -> tuple[str, ...]:
    """The specs with each `…*n` written out n times; raises `ConfigError` for `*0`."""
    flat: list[str] = []
    for spec in specs:
        match = _REPEAT.match(spec.strip())
        if match is None:
            flat.append(spec.strip())
            continue
        count = int(match["count"])
        if not 1 <= count <= 16:
            raise ConfigError(f"{spec!r} asks for {count} samples.", "Ask for 1 to 16.")
        flat += [match["spec"]] * count
    return tuple(flat)


def labels(specs: tuple[str, ...]) -> tuple[str, ...]:
    """A short, unique name for each spec: what follows the last slash, with #n for repeats."""
    short = [_short(spec) for spec in specs]
    names, seen = [], dict.fromkeys(short, 0)
    for name in short:
        seen[name] += 1
        names.append(f"{name}#{seen[name]}" if short.count(name) > 1 else name)
    return tuple(names)


def _short(spec: str) -> str:
    scheme, _, rest = spec.partition(":")
    model = rest.rpartition("@")[0] or rest if scheme == "openai" else rest or spec
    return model.rstrip("/").rpartition("/")[2].removesuffix(".gguf") or spec
