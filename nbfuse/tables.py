"""Reads a table, whatever it comes as: dicts, a data frame, or a CSV or JSON-lines file."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbfuse.core.errors import ConfigError

Row = Mapping[str, object]

# the columns of a table of questions that are not anybody's answers
QUESTION, REFERENCE = ("question", "prompt"), ("reference", "answer", "expected")
KNOWN = (*QUESTION, *REFERENCE, "id", "kind")

FORMS = "Give a list of dicts, a DataFrame, or the path of a CSV or JSON-lines file."


def rows_of(table: object) -> list[Row]:
    """The rows of a table by the names of its columns; an empty cell is None.

    Raises `ConfigError` for what is no table.
    """
    rows = _from_file(Path(table)) if isinstance(table, str | os.PathLike) else _from_memory(table)
    return [{str(name): _cell(value) for name, value in row.items()} for row in rows]


def _from_memory(table: Any) -> list[Row]:
    """Rows of a list, or of a polars or pandas frame, neither of which has to be there."""
    rows = table
    if callable(to_dicts := getattr(table, "to_dicts", None)):
        rows = to_dicts()
    elif hasattr(table, "columns") and callable(to_dict := getattr(table, "to_dict", None)):
        rows = to_dict("records")
    if not isinstance(rows, Sequence):
        raise ConfigError(f"{type(table).__name__} is no table.", FORMS)
    if not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError("The table's rows have no names.", FORMS)
    return list(rows)


def _from_file(path: Path) -> list[Row]:
    path = path.expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{path} can't be read: {why}.", "Give a CSV or JSON-lines file in UTF-8."
        ) from None
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json") or text.lstrip().startswith("{"):
        lines = enumerate(text.split("\n"), 1)
        return [_object(path, number, line) for number, line in lines if line.strip()]
    return _from_csv(path, text)


def _from_csv(path: Path, text: str) -> list[Row]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows: list[Row] = [dict(row) for row in reader]
    except csv.Error as error:
        raise ConfigError(
            f"{path}, line {reader.reader.line_num}: {error}.", "Mend that line."
        ) from error
    ragged = next((number for number, row in enumerate(rows, 1) if None in row), None)
    if ragged is not None:
        raise ConfigError(
            f"{path}: row {ragged} has more fields than the first line.",
            "Put fields with a comma into double quotes.",
        )
    return rows


def _object(path: Path, number: int, line: str) -> Row:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{path}, line {number}: {error}.", "Write one object a line.") from None


def _cell(value: object) -> object:
    """A value, None where the cell is empty."""
    if isinstance(value, float) and math.isnan(value):  # how pandas says it
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    return None if type(value).__name__ in ("NAType", "NaTType") else value
