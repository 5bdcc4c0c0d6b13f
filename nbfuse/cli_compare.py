"""`nbfuse compare A B`: which one to ship, on a file of questions or one's last prompts."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from nbfuse.cli_eval import grader
from nbfuse.comparison.compare import Options, prepare
from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.marks import check, keep
from nbfuse.core.types import to_json
from nbfuse.evaluation.progress import shown
from nbfuse.options import add_compare_options, comparing_of

OK, INTERRUPTED = 0, 130


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add who is compared on what, and where the page goes."""
    add_compare_options(parser)
    add = parser.add_argument
    add("-o", "--out", metavar="PAGE", help="write the page as one HTML file")
    add("--bookmark", metavar="NAME", help="keep it under this name")
    add("--tags", metavar="A,B", default="", help="of the bookmark")
    add("--json", action="store_true", help="print the whole comparison as JSON")


def run(options: argparse.Namespace) -> int:
    """Compare, print the tables, write the page; raises what `nbfuse.compare` raises."""
    grade = grader(options.grade) if options.grade else None
    asked = comparing_of(options, options.on, grade)
    if options.bookmark is not None:
        check(options.bookmark, options.tags.split(","))  # before anything is paid
    try:
        found = asyncio.run(_compared(options.contenders, asked, options.dry_run))
    except KeyboardInterrupt:
        print("Stopped. What was answered is kept, unless the history is off.", file=sys.stderr)
        return INTERRUPTED
    if found is None:
        return OK
    print(to_json(found) if options.json else found)
    if options.out is not None:
        print(f"The page is in {found.save(options.out)}", file=sys.stderr)
    if options.bookmark is not None:
        print(keep(options.bookmark, options.tags.split(","), found), file=sys.stderr)
    return OK


async def _compared(contenders: Sequence[str], asked: Options, dry_run: bool) -> Comparison | None:
    prepared = await prepare(contenders, asked)
    if dry_run:
        print("\n".join(prepared.lines))
        return None
    with shown(True) as step:
        return await prepared.contest(step).run(asked.concurrency)
