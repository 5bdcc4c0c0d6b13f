"""A pool as text: a table of nbfuse.toml, or Python."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, Array, InlineTable

from nbfuse.config import BUILT_IN, default_pool
from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import Pool, chosen
from nbfuse.paths import write_atomically

_MARK = "\ufeff"  # of a file that was made on Windows
_COMMENTED = re.compile(r"""\s*(["'])(.*?)\1\s*,?\s*#\s?(.*)""")


def as_python(pool: Pool) -> str:
    """The pool as an expression of Python."""
    lines = [f"    {name}={_plain(value)!r}," for name, value in chosen(pool).items()]
    return "\n".join(["nbfuse.Pool(", *lines, ")"])


def save(pool: Pool, folder: Path | None = None) -> Path:
    """Keep a pool under its name in the nearest `nbfuse.toml`, and tell which file that is.

    All else in the file stays as it is, comments included, and so does the pool of a file that a
    cell asks which names none. `folder` is where the search begins (None: the working one), and
    where a file is made if there is none above. Raises `ConfigError`.
    """
    if not pool.name.strip():
        raise ConfigError("The pool has no name.", "Give it one to keep it under.")
    here = (folder or Path.cwd()).absolute()
    files = (parent / "nbfuse.toml" for parent in (here, *here.parents))
    path = next((file for file in files if file.is_file()), here / "nbfuse.toml").resolve()
    default = default_pool(here).pool.name
    try:
        before = path.read_bytes().decode() if path.exists() else ""
        content = tomlkit.parse(before.removeprefix(_MARK))
        _put(content, pool)
        if default not in BUILT_IN and default != pool.name and "default" not in content:
            content["default"] = default  # else the only pool, or the nearest file's, would be it
        mark = _MARK if before.startswith(_MARK) else ""
        mode = path.stat().st_mode if path.exists() else None
        write_atomically(path, mark + tomlkit.dumps(content))
        if mode is not None:
            path.chmod(mode)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}.", "Save it as UTF-8.") from error
    except TOMLKitError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", "Mend that line.") from error
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read and written: {error.strerror}.",
            "Let its folder be written to, or work in another.",
        ) from error
    return path


def _put(content: TOMLDocument, pool: Pool) -> None:
    tables = content.setdefault("pools", tomlkit.table(is_super_table=True))
    if not isinstance(tables, AbstractTable):
        raise ConfigError("pools must be a table.", "Write [pools.NAME] above its settings.")
    if not isinstance(tables.get(pool.name), AbstractTable):
        inline = isinstance(tables, InlineTable)
        tables[pool.name] = tomlkit.inline_table() if inline else tomlkit.table()
    table, fields = tables[pool.name], chosen(pool)
    for name in [name for name in table if name not in fields]:
        del table[name]
    for name, value in fields.items():
        plain = _plain(value)
        if name in table and table[name] == plain:
            continue
        before = table.get(name)
        if isinstance(plain, list):
            plain = _array(plain, before if isinstance(before, Array) else None)
        elif isinstance(plain, str) and "\n" in plain:
            plain = tomlkit.string(plain, multiline=True)
        table[name] = plain


def _plain(value: object) -> object:
    """A field as a file or a line of Python writes it."""
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _array(values: list[str], before: Array | None) -> Array:
    """An array of these values, each with the comment that it had in the array before."""
    array = tomlkit.array()
    if before is None or "#" not in before.as_string():
        array.extend(values)
        lines = before is not None and "\n" in before.as_string()
        return array.multiline(lines or len(values) > 2)
    comments: dict[str, str] = {}
    for line in before.as_string().splitlines():
        if (found := _COMMENTED.match(line)) is not None:
            comments[found[2]] = found[3]
    for value in values:
        array.add_line(value, comment=comments.get(value))
    array.add_line(indent="")
    array.trivia.comment_ws, array.trivia.comment = before.trivia.comment_ws, before.trivia.comment
    return array
