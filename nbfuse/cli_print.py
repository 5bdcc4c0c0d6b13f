"""What the command line prints: tables for people, tabs or JSON for programs, and results."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nbfuse.core.types import FusionResult, to_json

OK, FAILED = 0, 1


def show(heads: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool) -> int:
    """Print a table and return the exit code: that there is nothing is a failure."""
    if as_json:
        print(to_json([dict(zip(heads, row, strict=True)) for row in rows]))
    else:
        print_table(heads, rows)
    return OK if rows else FAILED


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: aligned in a terminal, with tabs elsewhere."""
    if not sys.stdout.isatty():
        for row in (heads, *rows):
            print("\t".join(row).rstrip())
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = (Column(head, overflow="fold") for head in heads)  # a remedy is there to be copied
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_result(result: FusionResult) -> None:
    """The answer on standard output; why and for how much beside it, on standard error."""
    from nbfuse.core.clean import clean
    from nbfuse.render.fields import FIELD_HEADS, as_markdown, field_rows
    from nbfuse.render.table import HEADS, rows, sureness
    from nbfuse.render.text import summary

    why = f"{clean(result.verdict.reason)} {sureness(result.verdict)}"
    notes = [clean(note) for note in result.notes]
    if not sys.stdout.isatty():
        print(clean(result.text))
        print("\n".join([why, *notes, summary(result)]), file=sys.stderr)
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console()
    answer = Markdown(as_markdown(clean(result.text)))
    console.print(Panel(answer, title="Fused answer", title_align="left"))
    console.print("\n".join([why, *notes]), style="dim", markup=False)
    for heads, body in ((FIELD_HEADS, field_rows(result)), (HEADS, rows(result))):
        table = Table(*heads, box=None, header_style="bold")
        for row in body:
            table.add_row(*map(Text, row))
        if body:
            console.print(table)
