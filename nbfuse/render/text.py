"""A result as plain text, for terminals, logs and notebooks without HTML."""

from __future__ import annotations

from collections.abc import Sequence

from nbfuse.core.clean import clean
from nbfuse.core.types import Failure, FusionResult
from nbfuse.render.fields import FIELD_HEADS, field_rows
from nbfuse.render.findings import checks, findings, moves, spoken
from nbfuse.render.table import HEADS, called, headline, rows, sureness


def to_text(result: FusionResult) -> str:
    """The fused answer, why, every member's answer, and the table."""
    lines = [clean(result.text) or "(no fused answer)", ""]
    lines += [f"{headline(result)}. {clean(result.verdict.reason)} {sureness(result.verdict)}"]
    lines += [clean(note) for note in result.notes]
    if fields := field_rows(result):
        lines += ["", "Fields", aligned([FIELD_HEADS, *fields])]
    for answer in result.answers:
        lines += ["", f"[{answer.member}]", *(clean(called(call)) for call in answer.tool_calls)]
        lines.append(clean(answer.text) or _why_empty(answer.failure))
    if result.analysis is not None:
        for head, items in findings(result.analysis).items():
            lines += ["", head]
            for item in items:
                lines.append(clean(f"- {item.text}"))
                lines += [clean(f"  - {spoken(voice)}") for voice in item.voices]
    if result.positions:
        lines += ["", "Debate", *(clean(f"- {who} {what}") for who, what in moves(result))]
    if told := checks(result):
        lines += ["", "Checks", *(clean(f"- {line}") for line in told)]
    return "\n".join([*lines, "", summary(result)])


def _why_empty(failure: Failure | None) -> str:
    if failure is None:
        return "(nothing)"
    return clean(f"({failure.message} {failure.hint}".rstrip() + ")")


def summary(result: FusionResult) -> str:
    """The table alone, in aligned columns."""
    return aligned([HEADS, *rows(result)])


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each, in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
