"""A pool: the members, the judge, the mode and the limits of a fusion, and model specs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.types import AnswerKind, Mode

MODES: tuple[Mode, ...] = get_args(Mode)
ANSWER_KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
DEADLINE_S = 300.0  # a local 3B on two cores writes 500 tokens in a minute, three of them in three

_REPEAT = re.compile(r"^(?P<spec>.+?)\s*\*\s*(?P<count>\d+)$")


_Count = Annotated[int, Meta(ge=1)]
_NotNegative = Annotated[float, Meta(ge=0)]


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a pool, with their ranges."""

    members: tuple[str, ...]
    judge: str | None = None
    second_judge: str | None = None
    check: bool = False
    mode: Mode = "best-of"
    anchor: str | None = None
    answer: AnswerKind | None = None
    quorum: _Count | None = None
    grace_s: _NotNegative | None = None
    deadline_s: Annotated[float, Meta(ge=0.1)] = DEADLINE_S
    max_tokens: _Count | None = None
    temperature: _NotNegative | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    system: str | None = None
    local_first: bool = False
    budget: Decimal | None = None
    run: bool = False
    embedding: str | None = None
    local_only: bool = False
    name: str = ""


class Pool(_Settings, frozen=True, kw_only=True):
    """Who is asked, who judges, and within which limits.

    `members` are model specs: `openrouter:vendor/model`, `local:tiny-calc`, `gguf:path/to.gguf`,
    `openai:model@http://host/v1`; `…*3` asks one model three times. `quorum` is how many answers
    are enough (None: more than half, at least two), after which stragglers get `grace_s` seconds
    (None: a quarter of the time so far, between 1 and 5). `deadline_s` is the hard end of a run, of
    which members get four fifths. `budget` is US dollars for one run. `anchor` is the member
    trusted most (None: the first). A `second_judge`, best of another family, reads the answers in
    the other order. With `check` the judge looks even at an answer that is the only one. In mode
    `auto` members are asked in their order, with `local_first` those on this machine before the
    others. `run` lets Python code in answers be run, confined, to compare what it prints.
    `embedding` is a local model that tells which of several free texts is most like the others,
    where no judge can (None: by shared words). Raises `ConfigError` for values that can't work.
    """

    def __post_init__(self) -> None:
        me = f"Pool {self.name!r}" if self.name else "The pool"
        if isinstance(self.members, str):
            raise ConfigError(
                f"{me}: members must be a list.", f'Write members=["{self.members}"].'
            )
        if isinstance(self.budget, str | float | int):
            msgspec.structs.force_setattr(self, "budget", _dollars(self.budget))
        settings = msgspec.structs.asdict(self)
        for name, known in (("mode", MODES), ("answer", ANSWER_KINDS)):
            word = settings[name]
            if isinstance(word, str) and word not in known:
                raise ConfigError(f"{me}: {name} can't be {word!r}.", did_you_mean(word, known))
        try:
            checked = msgspec.convert(settings, _Settings)
        except msgspec.ValidationError as error:
            what, _, key = str(error).partition(" - at `$.")
            raise ConfigError(f"{me}: {key.rstrip('`')}: {what}.", "Mend that value.") from None
        msgspec.structs.force_setattr(self, "members", checked.members)  # a list is as good
        if self.run and self.answer not in (None, "code"):
            raise ConfigError(
                f"{me} compares answers as {self.answer}, but runs their code.",
                'Set answer = "code", or leave out run.',
            )
        count = len(expand(self.members))
        if not count:
            raise ConfigError(f"{me} has no members.", 'Name at least one: members = ["…"].')
        if self.quorum is not None and self.quorum > count:
            raise ConfigError(
                f"{me} asks for a quorum of {self.quorum}, but has {count} "
                f"member{'s' * (count != 1)}.",
                f"Choose a quorum from 1 to {count}.",
            )
        for judge in (self.judge, self.second_judge):
            if judge is not None and not judge.strip():
                raise ConfigError(f"{me}: the judge has no name.", "Name a model, or leave it out.")
            if judge is not None and len(expand((judge,))) != 1:
                raise ConfigError(
                    f"{me}: {judge!r} is more than one judge.",
                    "Name one, and another one as second_judge.",
                )
        if self.second_judge is not None and self.second_judge in (self.judge, None):
            raise ConfigError(
                f"{me}: the second judge is the first one again.", "Name one of another family."
            )
        if self.budget is not None and not (self.budget.is_finite() and self.budget >= 0):
            raise ConfigError(f"{me}: budget is {self.budget}.", "Give US dollars, 0 or more.")


def make_pool(settings: Mapping[str, object]) -> Pool:
    """A pool from loose values, as a file or a command line holds them; raises `ConfigError`."""
    for name in settings:
        if name not in Pool.__struct_fields__:
            raise ConfigError(f"A pool has no setting {name!r}.", did_you_mean(name, SETTINGS))
    if isinstance(budget := settings.get("budget"), str | float | int):
        settings = {**settings, "budget": _dollars(budget)}
    try:
        return Pool(**settings)  # type: ignore[arg-type]  # its own check says what is wrong
    except TypeError as error:
        raise ConfigError(
            f"That is not a pool: {error}.", 'Give at least members = ["…"].'
        ) from None


def chosen(pool: Pool) -> dict[str, object]:
    """The fields of a pool that are not as they are anyway, without its name."""
    plain = msgspec.structs.asdict(Pool(members=("x",)))
    fields = msgspec.structs.asdict(pool)
    return {name: fields[name] for name in SETTINGS if fields[name] != plain[name]}


def pool_settings(pool: Pool) -> dict[str, object]:
    """The fields of a pool as JSON holds them."""
    settings: dict[str, object] = msgspec.json.decode(msgspec.json.encode(pool))
    return settings


def _dollars(value: str | float) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ConfigError(f"budget can't be {value!r}.", "Give US dollars, like 0.05.") from None


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
    names: list[str] = []
    for name in short:
        number, label = 0, name
        while label in names or (short.count(name) > 1 and number == 0):
            number += 1
            label = f"{name}#{number}"
        names.append(label)
    return tuple(names)


def _short(spec: str) -> str:
    scheme, _, rest = spec.partition(":")
    model = rest.partition("@http")[0] if scheme == "openai" else rest or spec
    return model.rstrip("/").rpartition("/")[2].removesuffix(".gguf") or spec


SETTINGS = tuple(name for name in Pool.__struct_fields__ if name != "name")
