"""The fields of a structured answer as rows of short strings, and JSON as one reads it."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from nbfuse.core.clean import clean
from nbfuse.core.shapes import FieldSupport
from nbfuse.core.types import FusionResult

FIELD_HEADS = ("field", "value", "given by", "decided by", "other values")
MOST_OF_A_VALUE = 200  # characters


class FieldRow(NamedTuple):
    """One field's line of the table."""

    field: str
    value: str
    given_by: str
    decided_by: str
    others: str


def field_rows(result: FusionResult) -> list[FieldRow]:
    """One row for each field, none without a schema; foreign words are cleaned, not escaped."""
    return [_row(field) for field in result.fields]


def _row(field: FieldSupport) -> FieldRow:
    others = (f"{_brief(value)} ({', '.join(members)})" for value, members in field.others)
    return FieldRow(
        _brief(field.path.removeprefix("/")),
        _brief(field.value),
        f"{', '.join(field.members)} ({len(field.members)} of {field.of})",
        field.decided_by,
        "; ".join(others),
    )


def _brief(value: str | None) -> str:
    text = "left out" if value is None else " ".join(clean(value).split())
    return f"{text[:MOST_OF_A_VALUE]}{'…' * (len(text) > MOST_OF_A_VALUE)}"


def as_markdown(text: str) -> str:
    """A JSON object as a block of code; any other text as it is."""
    inside = text.strip()
    if not (inside.startswith("{") and inside.endswith("}")):
        return text
    try:
        json.loads(inside)
    except (ValueError, RecursionError):
        return text
    longest = max(map(len, re.findall("`+", inside)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{inside}\n{fence}"
