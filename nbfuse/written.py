"""A pool as text: a table of nbfuse.toml, Python, the first line of a cell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from nbfuse.config import pools
from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import Pool
from nbfuse.paths import write_atomically

_DEFAULTS = msgspec.structs.asdict(Pool(members=("x",)))
# fields of a pool that an option of a cell can say
_OPTIONS = {
    "judge": "--judge",
    "mode": "--mode",
    "answer": "--answer",
    "quorum": "--quorum",
    "deadline_s": "--deadline",
    "max_tokens": "--max-tokens",
    "temperature": "--temperature",
    "seed": "--seed",
}


def chosen(pool: Pool) -> dict[str, object]:
    """The fields of a pool that are not as they are anyway, without its name."""
    fields = msgspec.structs.asdict(pool)
    del fields["name"]
    return {name: value for name, value in fields.items() if value != _DEFAULTS[name]}


def as_python(pool: Pool) -> str:
    """The pool as an expression of Python."""
    lines = []
    for name, value in chosen(pool).items():
        if isinstance(value, Decimal):
            value = str(value)
        elif isinstance(value, tuple):
            value = list(value)
        lines.append(f"    {name}={value!r},")
    return "\n".join(["nbfuse.Pool(", *lines, ")"])


def as_cell(pool: Pool) -> str:
    """The first line of a cell that asks this pool.

    By its name, where it is kept under that; raises `ConfigError` where neither name nor options
    can say it.
    """
    if pool.name and pools().get(pool.name) == pool:
        return f"%%fuse --pool {shlex.quote(pool.name)}"
    words = ["%%fuse", "--models", shlex.quote(",".join(pool.members))]
    rest = []
    for name, value in chosen(pool).items():
        if name == "local_only":
            words.append("--local-only")
        elif name in _OPTIONS:
            words += [
                _OPTIONS[name],
                shlex.quote(f"{value:g}" if isinstance(value, float) else str(value)),
            ]
        elif name != "members":
            rest.append(name)
    if rest:
        raise ConfigError(
            f"A cell has no option for {', '.join(rest)}.",
            "Save the pool, and name it in the cell.",
        )
    return " ".join(words)


def save(pool: Pool, folder: Path | None = None) -> Path:
    """Keep a pool under its name in the nearest `nbfuse.toml`, and tell which file that is.

    All else in the file stays as it is, comments included. `folder` is where the search begins
    (None: the working one), and where a file is made if there is none above. Raises `ConfigError`.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import Table

    if not pool.name.strip():
        raise ConfigError("The pool has no name.", "Give it one to keep it under.")
    here = (folder or Path.cwd()).absolute()
    files = (parent / "nbfuse.toml" for parent in (here, *here.parents))
    path = next((file for file in files if file.is_file()), here / "nbfuse.toml")
    try:
        before = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        content = tomlkit.parse(before)
        tables = content.setdefault("pools", tomlkit.table(is_super_table=True))
        kept = tables.get(pool.name)
        if not isinstance(kept, Table):
            kept = tables[pool.name] = tomlkit.table()
            kept = tables[pool.name]
        _write(kept, chosen(pool))
        write_atomically(path, tomlkit.dumps(content))
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", "Mend that line.") from error
    except (AttributeError, TypeError) as error:  # "pools" is something else there
        raise ConfigError(
            f"{path}: pools must be a table.", "Write [pools.NAME] above its settings."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}.", "Look at it.") from error
    return path


def _write(table: Mapping[str, object], fields: Mapping[str, object]) -> None:
    """Have `table` hold these fields and no other, and touch only what changes."""
    import tomlkit

    for name in [name for name in table if name not in fields]:
        del table[name]  # type: ignore[attr-defined]
    for name, value in fields.items():
        if isinstance(value, Decimal):
            value = str(value)
        elif isinstance(value, tuple):
            value = list(value)
        if name in table and table[name] == value:
            continue
        if isinstance(value, list):
            array = tomlkit.array()
            array.extend(value)
            array.multiline(len(value) > 2)
            value = array
        elif isinstance(value, str) and "\n" in value:
            value = tomlkit.string(value, multiline=True)
        table[name] = value  # type: ignore[index]
