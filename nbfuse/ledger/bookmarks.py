"""What the user wants to find again: comparisons and runs, whole, under a name and tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from nbfuse.core.errors import LedgerError, did_you_mean
from nbfuse.core.stamp import now
from nbfuse.core.types import from_json, to_json
from nbfuse.ledger.file import NAME, opened
from nbfuse.paths import data_folder

Kind = Literal["comparison", "run"]


class Bookmark(msgspec.Struct, frozen=True, kw_only=True):
    """Something kept: `value` is its JSON, `page` how it looked, as HTML; `at` is in UTC.

    `about` is when that which is kept began, which tells it from all else.
    """

    name: str
    kind: Kind
    title: str
    tags: tuple[str, ...] = ()
    at: str = ""
    about: str = ""
    value: str = ""
    page: str = ""


def check_names(*names: str) -> None:
    """Raise `LedgerError` for a name or a tag that could not be typed again."""
    for word in names:
        if not word.strip() or word.startswith("-") or not word.isprintable() or "," in word:
            raise LedgerError(f"A bookmark can't be called {word!r}.", "Use a word or two.")


class Bookmarks:
    """The bookmarks in the ledger at `path` (None: the user's own). Methods raise `LedgerError`."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / NAME

    def save(self, mark: Bookmark) -> bool:
        """Keep something under its name; whether it took the place of another.

        Raises `LedgerError` for a name or a tag that could not be typed again.
        """
        check_names(mark.name, *mark.tags)
        about = (mark.title, to_json(mark.tags), mark.about, mark.value, mark.page)
        row = (mark.name, now(), mark.kind, *about)
        with opened(self.path) as file:
            asked = "SELECT 1 FROM bookmarks WHERE name = ?"
            there = file.execute(asked, (mark.name,)).fetchone() is not None
            file.execute("INSERT OR REPLACE INTO bookmarks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        return there

    def find(self, words: Sequence[str] = ()) -> list[Bookmark]:
        """Those with all words in name, title, tags or content, the latest first; none opened."""
        if not self.path.exists():
            return []
        # in what was said, and not in what the fields of its JSON are called
        parts = [
            f"(instr(fold(b.name || char(10) || title || char(10) || tags), fold(?{number})) > 0 OR"
            " EXISTS (SELECT 1 FROM json_tree(iif(json_valid(b.value), b.value, '{}'))"
            f" WHERE json_tree.type = 'text' AND instr(fold(atom), fold(?{number})) > 0))"
            for number, _ in enumerate(words, 1)
        ]
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        columns = "name, at, kind, title, tags, about"
        query = f"SELECT {columns} FROM bookmarks b{where} ORDER BY at DESC"
        with opened(self.path) as file:
            return [
                Bookmark(**{**row, "tags": from_json(tuple[str, ...], row["tags"])})
                for row in map(dict, file.execute(query, list(words)))
            ]

    def of(self, begun: str) -> list[Bookmark]:
        """Those of what began at this time, which tells it from all others."""
        named = [mark for mark in self.find() if mark.about == begun]
        return named if begun else []

    def open(self, name: str) -> Bookmark:
        """The one of this name, whole; raises `LedgerError` where there is none."""
        if self.path.exists():
            with opened(self.path) as file:
                found = file.execute("SELECT * FROM bookmarks WHERE name = ?", (name,)).fetchone()
            if found is not None:
                return Bookmark(**{**found, "tags": from_json(tuple[str, ...], found["tags"])})
        raise self._missing(name)

    def delete(self, name: str) -> None:
        """Forget the one of this name; raises `LedgerError` where there is none."""
        if self.path.exists():
            with opened(self.path) as file:
                if file.execute("DELETE FROM bookmarks WHERE name = ?", (name,)).rowcount:
                    return
        raise self._missing(name)

    def _missing(self, name: str) -> LedgerError:
        names = [mark.name for mark in self.find()]
        return LedgerError(f"There is no bookmark {name!r}.", did_you_mean(name, names))
