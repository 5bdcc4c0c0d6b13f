"""A result as plain text, for terminals, logs and notebooks without HTML."""

from __future__ import annotations

from nbfuse.core.clean import clean
from nbfuse.core.types import Failure, FusionResult
from nbfuse.render.findings import checks, findings, moves, spoken
from nbfuse.render.table import HEADS, called, headline, rows, sureness


def to_text(result: FusionResult) -> str:
    """The fused answer, why, every member's answer, and the table."""
    lines = [clean(result.text) or "(no fused answer)", ""]
    lines += [f"{headline(result)}. {clean(result.verdict.reason)} {sureness(result.verdict)}"]
    lines += [clean(note) for note in result.notes]
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
    table = [HEADS, *rows(result)]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
