"""`nbfuse bookmarks`: comparisons and runs that were kept; list, search, open, save, delete."""

from __future__ import annotations

import argparse
from pathlib import Path

from nbfuse.cli_print import OK, print_result, show
from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.marks import HEADS, keep, opened, rows
from nbfuse.core.errors import ConfigError
from nbfuse.core.types import FusionResult, to_json
from nbfuse.ledger.bookmarks import Bookmarks
from nbfuse.ledger.ledger import Ledger
from nbfuse.paths import write_atomically

USES = {
    "list": "nbfuse bookmarks",
    "search": "nbfuse bookmarks search WORD",
    "open": "nbfuse bookmarks open NAME",
    "save": "nbfuse bookmarks save NAME RUN",
    "delete": "nbfuse bookmarks delete NAME",
}
_LEAST = {"list": 0, "search": 1, "open": 1, "save": 2, "delete": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is done with bookmarks."""
    add = parser.add_argument
    add("action", nargs="?", choices=tuple(USES), default="list")
    add("words", nargs="*", help="a name, and to save it a run of the history; words to search for")
    add("--tags", metavar="A,B", default="", help="of a run that is saved")
    add("-o", "--out", metavar="PAGE", help="write what is opened as one HTML file")
    add("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Do it; raises an `NbfuseError`."""
    action, words = options.action, options.words
    if len(words) != _LEAST[action] and not (action == "search" and words):
        raise ConfigError(f"nbfuse bookmarks {action} takes other words.", f"Try: {USES[action]}")
    match action:
        case "open":
            return _open(words[0], options.out, options.json)
        case "save":
            print(keep(words[0], options.tags.split(","), Ledger().load(words[1])))
        case "delete":
            Bookmarks().delete(words[0])
            print(f"{words[0]} is forgotten.")
        case _:
            return show(HEADS, rows(Bookmarks().find(words)), options.json)
    return OK


def _open(name: str, out: str | None, as_json: bool) -> int:
    found = opened(name)
    if out is not None:
        path = Path(out).expanduser()
        try:
            write_atomically(path, Bookmarks().open(name).page)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}.", "Give another file.") from error
        print(f"The page is in {path}")
    elif as_json and isinstance(found, Comparison | FusionResult):
        print(to_json(found))
    elif isinstance(found, FusionResult):
        print_result(found)
    else:
        print(found)
    return OK
