"""Named pools from files, and which pool is the default and why.

Looked for, in this order: `nbfuse.toml` in this folder or the nearest one above, `[tool.nbfuse]` of
the nearest `pyproject.toml`, `nbfuse.toml` in the user's config folder, and the pools built in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.pool import SETTINGS, Pool, make_pool
from nbfuse.local.catalog import catalog
from nbfuse.paths import config_folder, is_local_only, is_off
from nbfuse.providers.registry import openrouter_key

TINY = Pool(
    name="tiny",
    members=("local:tiny-calc", "local:tiny-units", "local:tiny-atlas"),
    judge="local:tiny-judge",
    quorum=3,  # they take milliseconds: there is nothing to wait for
)
LOCAL = Pool(name="local", members=("local:ministral-3b*3",), judge="local:ministral-3b", quorum=3)
CLOUD = Pool(  # three families, and a judge from a fourth: judges favour their own
    name="cloud",
    members=(
        "openrouter:~anthropic/claude-opus-latest",
        "openrouter:~openai/gpt-latest",
        "openrouter:~google/gemini-pro-latest",
    ),
    judge="openrouter:mistralai/mistral-large",
)
BUILT_IN = {pool.name: pool for pool in (TINY, LOCAL, CLOUD)}

LONGEST_HISTORY = 36_500  # days
_TOP_KEYS = ("default", "pools", "history", "reviewers")


class _Source(NamedTuple):
    """One file's pools, and its default pool if it names one."""

    path: Path
    pools: dict[str, Pool]
    default: str | None
    history: bool | int | None
    reviewers: dict[str, object]


class History(NamedTuple):
    """Whether runs are kept in the ledger, and for how many days (None: for good)."""

    on: bool
    days: int | None = None


class Chosen(NamedTuple):
    """A pool, and in a few words why it is this one."""

    pool: Pool
    reason: str


def pools(folder: Path | None = None) -> dict[str, Pool]:
    """Every pool by name, as seen from `folder` (None: the working one); raises `ConfigError`."""
    found = dict(BUILT_IN)
    for source in reversed(list(_sources(folder or Path.cwd()))):
        found |= source.pools
    return found


def load_pool(name: str, folder: Path | None = None) -> Pool:
    """The pool called `name`; raises `ConfigError` with the nearest names."""
    known = pools(folder)
    if name not in known:
        raise ConfigError(f"There is no pool {name!r}.", did_you_mean(name, known))
    return known[name]


def default_pool(folder: Path | None = None, *, local_only: bool = False) -> Chosen:
    """The configured pool, else the best that this machine can run; raises `ConfigError`.

    With `local_only`, or on a machine that is so, a key alone chooses no cloud pool.
    """
    for source in _sources(folder or Path.cwd()):
        if source.default is not None:
            try:
                pool = load_pool(source.default, folder)
            except ConfigError as error:
                raise ConfigError(f"{source.path}: default: {error.message}", error.hint) from error
            return Chosen(pool, f"the default in {source.path}")
        if len(source.pools) == 1:
            (pool,) = source.pools.values()
            return Chosen(pool, f"the only pool in {source.path}")
    why = "there is no key"
    if local_only or is_local_only():
        why = "nothing may leave this machine"
    elif openrouter_key() is not None:
        return Chosen(CLOUD, "there is an OpenRouter key")
    if catalog()["ministral-3b"].here:
        return Chosen(LOCAL, f"{why}, and the 3B model is on this machine")
    return Chosen(TINY, f"{why} and no larger local model is here")


def history(folder: Path | None = None) -> History:
    """What is to be kept of runs: NBFUSE_HISTORY, else the nearest file that says it, else all.

    Raises `ConfigError`.
    """
    if is_off("NBFUSE_HISTORY"):
        return History(on=False)
    said = (source.history for source in _sources(folder or Path.cwd()))
    wanted = next((one for one in said if one is not None), True)
    return History(on=bool(wanted), days=None if isinstance(wanted, bool) else wanted)


def own_reviewers(folder: Path | None = None) -> Iterator[tuple[Path, dict[str, object]]]:
    """The tables of reviewers that files have, with the file; the one that counts most, last."""
    for source in reversed(list(_sources(folder or Path.cwd()))):
        yield source.path, source.reviewers


def _sources(folder: Path) -> Iterator[_Source]:
    here = folder.absolute()
    for name, table in (("nbfuse.toml", ()), ("pyproject.toml", ("tool", "nbfuse"))):
        for parent in (here, *here.parents):
            source = _read(parent / name, table)
            if source is not None:
                yield source
                break
    user = _read(config_folder() / "nbfuse.toml", ())
    if user is not None:
        yield user


def _read(path: Path, table: tuple[str, ...]) -> _Source | None:
    try:
        content: object = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError:  # not there, not a file, or not ours to read
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if table:  # somebody else's file: not ours to complain about
            return None
        raise ConfigError(f"{path} is not valid TOML: {error}.", "Mend that line.") from error
    for key in table:
        content = content.get(key) if isinstance(content, dict) else None
    return None if content is None else _parse(content, path)


def _parse(content: object, path: Path) -> _Source:
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: nbfuse's part must be a table.", "See the README for an example."
        )
    _check_keys(content, _TOP_KEYS, path, "")
    tables = content.get("pools", {})
    if not isinstance(tables, dict):
        raise ConfigError(
            f"{path}: pools must be a table.", "Write [pools.NAME] above its settings."
        )
    found = {name: _pool(name, table, path) for name, table in tables.items()}
    default = content.get("default")
    if default is not None and not isinstance(default, str):
        raise ConfigError(f"{path}: default must be the name of a pool.", 'Write default = "…".')
    reviewers = content.get("reviewers", {})
    if not isinstance(reviewers, dict):
        raise ConfigError(
            f"{path}: reviewers must be a table.", "Write [reviewers.NAME] above its settings."
        )
    history = content.get("history")
    if isinstance(history, bool | None) or (
        isinstance(history, int) and 0 <= history <= LONGEST_HISTORY
    ):
        return _Source(path, found, default, history, reviewers)
    raise ConfigError(
        f"{path}: history can't be {history!r}.", "Write true, false, or for how many days."
    )


def _pool(name: str, table: object, path: Path) -> Pool:
    where = f"pools.{name}"
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: {where} must be a table.", f"Write [{where}] above its settings."
        )
    _check_keys(table, SETTINGS, path, where)
    if "members" not in table:
        raise ConfigError(f"{path}: {where} has no members.", 'Add a line: members = ["…", "…"]')
    try:
        return make_pool({**table, "name": name})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error


def _check_keys(table: dict[str, object], known: tuple[str, ...], path: Path, where: str) -> None:
    for key in table:
        if key not in known:
            place = f" in {where}" if where else ""
            raise ConfigError(f"{path}: unknown key {key!r}{place}.", did_you_mean(key, known))
