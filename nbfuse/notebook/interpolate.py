"""Puts values into a prompt: `{{ name }}`, with attributes and indices, in one pass.

Braces, `$x`, LaTeX and JSON pass untouched, and a value is never scanned again, so text in a
variable is not a template.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nbfuse.core.errors import PromptError, did_you_mean

MOST_ROWS, MOST_COLUMNS, MOST_CELL = 20, 12, 80
MOST_NAMES = 500  # among more a search for the nearest takes too long

_STEP = r"""\s*+(?:\.\s*[A-Za-z_]\w*|\[\s*(?:-?\d+|'[^'\n]*'|"[^"\n]*")\s*\])"""
_FIELD = re.compile(
    rf"\{{\{{\s*+(?P<name>[A-Za-z_]\w*+)(?P<steps>(?:{_STEP})*+)\s*+(?P<more>[^{{}}\n]*+)\s*+\}}\}}"
)


def interpolate(text: str, names: Mapping[str, object]) -> str:
    """`text` with every `{{ name }}` filled in from `names`; raises `PromptError`."""
    return _FIELD.sub(lambda field: _fill(field, names), text)


def _fill(field: re.Match[str], names: Mapping[str, object]) -> str:
    name = field["name"]
    if field["more"]:
        if name not in names:  # somebody else's template, or mathematics
            return field[0]
        raise PromptError(
            f"{field[0]}: only names, attributes and indices can be filled in.",
            "Compute it in a cell above and name it here, or use --raw.",
        )
    if name not in names:
        public = [known for known in names if not known.startswith("_")]
        near = did_you_mean(name, public) if len(public) < MOST_NAMES else ""
        hint = near if near.startswith("Did") else "Define it in a cell above."
        raise PromptError(f"{field[0]}: there is no variable {name!r}.", f"{hint} Or use --raw.")
    try:
        return as_text(_walk(names[name], re.findall(_STEP, field["steps"])))
    except Exception as error:  # attributes and texts of the user's objects are code of the user's
        raise PromptError(
            f"{field[0]} can't be filled in: {type(error).__name__}: {error}.",
            "Check the name; only attributes and indices work here.",
        ) from error


def _walk(value: object, steps: list[str]) -> object:
    for step in map(str.strip, steps):
        if step.startswith("."):
            value = getattr(value, step[1:].strip())
            continue
        key = step[1:-1].strip()
        value = value[key[1:-1] if key[0] in "'\"" else int(key)]  # type: ignore[index]
    return value


def as_text(value: object) -> str:
    """A value as a prompt holds it; of a DataFrame or Series its shape and the first rows."""
    if isinstance(value, str):
        return value
    if hasattr(value, "to_frame") and hasattr(value, "head") and not hasattr(value, "levels"):
        value = value.to_frame()
    if hasattr(value, "columns") and hasattr(value, "head") and not isinstance(value, type):
        return _table(value)
    return str(value)


def _table(frame: object) -> str:
    head = frame.head(MOST_ROWS)  # type: ignore[attr-defined]
    names = [str(name) for name in frame.columns]  # type: ignore[attr-defined]
    count, columns = len(frame), len(names)  # type: ignore[arg-type]
    if hasattr(head, "itertuples"):  # pandas
        rows = [list(row) for row in head.itertuples(index=False, name=None)]
        index = head.index
        if type(index).__name__ != "RangeIndex":  # row labels that say something
            names = [" / ".join(str(name or "") for name in index.names), *names]
            rows = [[label, *row] for label, row in zip(index, rows, strict=True)]
    else:  # polars
        rows = [list(row) for row in head.rows()]
    width = len(names) - columns + MOST_COLUMNS
    lines = [_line(names[:width]), _line(["---"] * len(names[:width]))]
    lines += [_line(row[:width]) for row in rows]
    left_out = [
        f"{total - most:,} more {what} left out"
        for total, most, what in ((count, MOST_ROWS, "rows"), (columns, MOST_COLUMNS, "columns"))
        if total > most
    ]
    said = f"Table of {count:,} rows and {columns:,} columns"
    return "\n".join([f"{said} ({', '.join(left_out)}):" if left_out else f"{said}:", *lines])


def _line(cells: Iterable[object]) -> str:
    texts = (" ".join(str(cell).split()) for cell in cells)
    cut = (t if len(t) <= MOST_CELL else f"{t[: MOST_CELL - 1]}…" for t in texts)
    return f"| {' | '.join(text.replace('|', '/') for text in cut)} |"
