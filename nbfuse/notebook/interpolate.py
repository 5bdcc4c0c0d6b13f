"""Puts values into a prompt: `{{ name }}`, with attributes and indices, in one pass.

Braces, `$x`, LaTeX and JSON pass untouched, and a value is never scanned again, so text in a
variable is not a template.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nbfuse.core.errors import PromptError, did_you_mean

MOST_ROWS, MOST_COLUMNS, MOST_CELL = 20, 12, 80

_STEP = r"""\s*(?:\.\s*[A-Za-z_]\w*|\[\s*(?:-?\d+|'[^'\n]*'|"[^"\n]*")\s*\])"""
_FIELD = re.compile(rf"\{{\{{\s*(?P<name>[A-Za-z_]\w*)(?P<steps>(?:{_STEP})*)\s*\}}\}}")


def interpolate(text: str, names: Mapping[str, object]) -> str:
    """`text` with every `{{ name }}` filled in from `names`; raises `PromptError`."""
    return _FIELD.sub(lambda field: as_text(_value(field, names)), text)


def _value(field: re.Match[str], names: Mapping[str, object]) -> object:
    name = field["name"]
    if name not in names:
        public = [known for known in names if not known.startswith("_")]
        near = did_you_mean(name, public) if len(public) < 500 else ""
        hint = near if near.startswith("Did") else "Define it in a cell above."
        raise PromptError(f"{field[0]}: there is no variable {name!r}.", f"{hint} Or use --raw.")
    value = names[name]
    for step in re.findall(_STEP, field["steps"]):
        step = step.strip()
        try:
            if step.startswith("."):
                value = getattr(value, step[1:].strip())
            else:
                key = step[1:-1].strip()
                quoted = key[0] in "'\""
                value = value[key[1:-1] if quoted else int(key)]  # type: ignore[index]
        except (AttributeError, LookupError, TypeError) as error:
            raise PromptError(
                f"{field[0]}: there is no {step} in it ({type(error).__name__}).",
                "Check the name; only attributes and indices work here.",
            ) from error
    return value


def as_text(value: object) -> str:
    """A value as a prompt holds it; of a DataFrame its shape and the first rows."""
    if isinstance(value, str):
        return value
    if hasattr(value, "columns") and hasattr(value, "head") and hasattr(value, "shape"):
        return _table(value)
    return str(value)


def _table(frame: object) -> str:
    rows, columns = frame.shape  # type: ignore[attr-defined]
    names = [str(name) for name in frame.columns]  # type: ignore[attr-defined]
    head = frame.head(MOST_ROWS)  # type: ignore[attr-defined]
    lines = head.itertuples(index=False) if hasattr(head, "itertuples") else head.rows()
    shown = names[:MOST_COLUMNS]
    table = [_line(shown), _line(["---"] * len(shown))]
    table += [_line(list(line)[:MOST_COLUMNS]) for line in lines]
    left_out = [
        f"{total - most:,} more {what} left out"
        for total, most, what in ((rows, MOST_ROWS, "rows"), (columns, MOST_COLUMNS, "columns"))
        if total > most
    ]
    said = f"Table of {rows:,} rows and {columns:,} columns"
    return "\n".join([f"{said} ({', '.join(left_out)}):" if left_out else f"{said}:", *table])


def _line(cells: Iterable[object]) -> str:
    texts = (" ".join(str(cell).split()) for cell in cells)
    cut = (t if len(t) <= MOST_CELL else f"{t[: MOST_CELL - 1]}…" for t in texts)
    return f"| {' | '.join(text.replace('|', '/') for text in cut)} |"
