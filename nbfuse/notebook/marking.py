"""`%fuse bookmarks`: keep the last comparison or run, find it, open it, forget it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.marks import HEADS, NONE_YET, OldPage, keep, opened, rows
from nbfuse.core.errors import ConfigError
from nbfuse.core.types import FusionResult
from nbfuse.ledger.bookmarks import Bookmarks

Shown = Comparison | FusionResult | OldPage | None
USES = "list, search WORD, save NAME [--tags A,B], open NAME, delete NAME"


def bookmarks(
    words: Sequence[str],
    last: Comparison | FusionResult | None,
    show: Callable[[Sequence[Sequence[str]]], None],
) -> Shown:
    """Do what the words say; what is opened comes back. Raises `ConfigError` or `LedgerError`."""
    match list(words):
        case [] | ["list"]:
            _list([], show)
        case ["search", *wanted] if wanted:
            _list(wanted, show)
        case ["save", name] | ["save", name, "--tags", _]:
            if last is None:
                raise ConfigError("There is nothing to keep yet.", "Run a cell or compare first.")
            print(keep(name, words[3].split(",") if len(words) > 2 else (), last))
        case ["open", name]:
            return opened(name)
        case ["delete", name]:
            Bookmarks().delete(name)
            print(f"{name} is forgotten.")
        case _:
            raise ConfigError(f"%fuse bookmarks {' '.join(words)!r} is not a use.", f"Try: {USES}.")
    return None


def _list(wanted: Sequence[str], show: Callable[[Sequence[Sequence[str]]], None]) -> None:
    found = Bookmarks().find(wanted)
    if found:
        show([HEADS, *rows(found)])
    else:
        print("No bookmark has these words." if wanted else NONE_YET)
