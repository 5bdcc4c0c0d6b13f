"""Reads a table, whatever it comes as: a list of dicts, a data frame, or a CSV or JSONL file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbfuse.core.errors import ConfigError

Row = Mapping[str, object]


def rows_of(table: object) -> list[Row]:
    """The rows of a table by the names of its columns; raises `ConfigError`."""
    if isinstance(table, str | Path):
        rows = _from_file(Path(table).expanduser())
    elif isinstance(table, Sequence):
        rows = list(table)
    else:
        rows = _from_frame(table)
    if not rows:
        raise ConfigError("The table has no rows.", "Give one with a row for each question.")
    if not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError("The table's rows have no names.", "Give a list of dicts.")
    return [{str(name): _cell(value) for name, value in row.items()} for row in rows]


def _from_frame(table: Any) -> list[Row]:
    """Rows of a polars or a pandas frame, neither of which has to be there."""
    if hasattr(table, "to_dicts"):
        return list(table.to_dicts())
    if hasattr(table, "to_dict"):
        return list(table.to_dict("records"))
    raise ConfigError(
        f"A {type(table).__name__} is no table.",
        "Give a list of dicts, a DataFrame, or the path of a CSV or JSONL file.",
    )


def _from_file(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path} can't be read: {why}.", "Check the path.") from None
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return [
            _object(path, n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()
        ]
    if path.suffix.lower() == ".csv":
        return list(csv.DictReader(text.splitlines(keepends=True), strict=True))
    raise ConfigError(f"{path} is neither CSV nor JSONL.", "Give a file that ends in one of them.")


def _object(path: Path, number: int, line: str) -> Row:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}, line {number}: {error}.", "Mend that line.") from None


def _cell(value: object) -> object:
    """A value, None where the cell is empty."""
    if isinstance(value, float) and math.isnan(value):  # how pandas says it
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    return None if type(value).__name__ in ("NAType", "NaTType") else value
