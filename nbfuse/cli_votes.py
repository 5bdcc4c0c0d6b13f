"""`nbfuse votes`: one's own votes on contenders, and those of a folder."""

from __future__ import annotations

import argparse
import sys

from nbfuse.cli_print import show
from nbfuse.comparison.exchange import exported, merged, own_votes
from nbfuse.comparison.tally import HEADS, rows
from nbfuse.core.errors import ConfigError

OK = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is done with the votes."""
    add = parser.add_argument
    add("action", nargs="?", choices=("list", "export", "merge"), default="list")
    add("folder", nargs="?", help="where everybody's files are, or yours goes")
    add("--prompts", action="store_true", help="export the questions, too")
    add("--json", action="store_true", help="print the table as JSON")


def run(options: argparse.Namespace) -> int:
    """List, export or merge; raises an `NbfuseError`."""
    if (options.folder is None) is not (options.action == "list"):
        raise ConfigError(
            f"nbfuse votes {options.action} takes {'no' if options.action == 'list' else 'a'} "
            "folder.",
            "Try: nbfuse votes merge FOLDER",
        )
    if options.action == "export":
        print(exported(options.folder, options.prompts))
        return OK
    told = own_votes() if options.action == "list" else merged(options.folder)
    print("\n".join(told.lines), file=sys.stderr)
    return show(HEADS, rows(told.counts), options.json)
