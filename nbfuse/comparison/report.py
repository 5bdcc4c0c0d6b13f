"""A comparison as text, for terminals, and as Markdown."""

from __future__ import annotations

from nbfuse.comparison import tables
from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.page import TITLE
from nbfuse.comparison.tables import Grid
from nbfuse.core.clean import clean
from nbfuse.render.columns import aligned
from nbfuse.render.markdown import cell, flat, harmless

_GRIDS = (tables.decision, tables.scorecard, tables.measured, tables.pricing)


def to_text(found: Comparison) -> str:
    """The tables in aligned columns, the decision last."""
    parts = ["\n".join(f"{s.name}: {s.line}. {s.licence}." for s in found.sides)]
    for grid in _grids(found):
        parts.append("\n".join(aligned([(grid.of, *grid.heads), *grid.rows])))
    lines = [*tables.pairs(found), *tables.split_lines(found), *found.notes]
    parts += ["\n".join(dict.fromkeys(lines))] if lines else []
    return clean("\n\n".join([*parts, found.decision.sentence]))


def to_markdown(found: Comparison) -> str:
    """The tables, the decision first."""
    parts = [
        f"**{TITLE}**",
        "\n".join(f"- **{flat(s.name)}**: {flat(s.line)}. {flat(s.licence)}." for s in found.sides),
        f"**{flat(found.decision.sentence)}**",
    ]
    for grid in _grids(found):
        table = [(grid.of, *grid.heads), ("---",) * (len(grid.heads) + 1), *grid.rows]
        parts.append("\n".join(f"| {' | '.join(map(cell, row))} |" for row in table))
    lines = dict.fromkeys([*tables.pairs(found), *tables.split_lines(found), *found.notes])
    if lines:
        parts.append("\n".join(f"- {flat(line)}" for line in lines))
    return harmless("\n\n".join(parts))


def _grids(found: Comparison) -> list[Grid]:
    return [make(found) for make in _GRIDS if found.takes or make is not tables.scorecard]
