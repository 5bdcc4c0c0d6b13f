"""Bookmarks of comparisons and runs: kept whole, found by words, opened without asking anybody."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.document import document
from nbfuse.config import history
from nbfuse.core.errors import ConfigError
from nbfuse.core.stamp import now
from nbfuse.core.types import SCHEMA, FusionResult, from_json, to_json
from nbfuse.ledger.bookmarks import Bookmark, Bookmarks, check_names
from nbfuse.report import brief

HEADS = ("bookmark", "when", "what", "title", "tags")
NONE_YET = "No bookmarks yet: %fuse bookmarks save NAME keeps the last comparison or run."


def keep(name: str, tags: Sequence[str], value: Comparison | FusionResult) -> str:
    """Bookmark a comparison or a run and say so in a line; raises `LedgerError`."""
    words = check(name, tags)
    if isinstance(value, Comparison):
        mark = Bookmark(name=name, kind="comparison", title=value.title, tags=words, at=now())
        mark = msgspec.structs.replace(mark, page=document(value, mark))
    else:
        from nbfuse.render.html import to_html

        page = to_html(value)
        mark = Bookmark(name=name, kind="run", title=value.prompt, tags=words, page=page)
    mark = msgspec.structs.replace(mark, about=value.started_at, value=to_json(value))
    replaced = Bookmarks().save(mark)
    return f"Kept as {name}{' in place of the one before' * replaced}. See: bookmarks."


def check(name: str, tags: Sequence[str]) -> tuple[str, ...]:
    """The tags as they are kept; raises an `NbfuseError` where nothing could be kept so."""
    if not history().on:
        raise ConfigError("The history is switched off.", "Bookmarks are kept in it.")
    words = tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    check_names(name, *words)
    return words


def opened(name: str) -> Comparison | FusionResult | OldPage:
    """What was bookmarked; its page alone where this version can't read it any more."""
    mark = Bookmarks().open(name)
    found: Comparison | FusionResult
    try:
        if mark.kind == "comparison":
            found = from_json(Comparison, mark.value)
        else:
            found = from_json(FusionResult, mark.value)
    except msgspec.MsgspecError:
        return OldPage(mark)
    return found if found.schema <= SCHEMA else OldPage(mark)


class OldPage:
    """A bookmark as it looked when it was kept, by a version of nbfuse that wrote otherwise."""

    def __init__(self, mark: Bookmark) -> None:
        self.mark = mark

    def __repr__(self) -> str:
        return (
            f"{self.mark.name} was kept by another version of nbfuse; its page can still be saved: "
            f"nbfuse bookmarks open {self.mark.name} -o page.html"
        )

    def _repr_html_(self) -> str:
        return self.mark.page


def rows(marks: Sequence[Bookmark]) -> list[list[str]]:
    """The table of `HEADS`, as text."""
    return [
        [mark.name, mark.at[:10], mark.kind, brief(mark.title), ", ".join(mark.tags)]
        for mark in marks
    ]
