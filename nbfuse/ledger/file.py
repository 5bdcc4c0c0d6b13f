"""The ledger's file: opened for one transaction, and laid out as this version wants it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nbfuse.core.errors import LedgerError

NAME = "ledger.sqlite3"  # in the user's data folder
WAIT_S = 0.5  # for another kernel to end its write: after Ctrl-C it is waited for twice
_beginning = threading.Lock()

# The version of the file is how many of these it has seen; a new one goes to the end.
MIGRATIONS = (
    """
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, started_at TEXT, prompt TEXT, pool TEXT, mode TEXT, judge TEXT,
        status TEXT, seconds REAL, tokens INTEGER, cost TEXT, text TEXT, result TEXT
    );
    CREATE INDEX runs_by_time ON runs (started_at);
    CREATE TABLE answers (
        run TEXT, place INTEGER, member TEXT, spec TEXT, status TEXT, seconds REAL, tokens INTEGER,
        cost TEXT, text TEXT, answer TEXT, PRIMARY KEY (run, member)
    );
    """,
    """
    ALTER TABLE runs ADD COLUMN plan TEXT;
    CREATE TABLE votes (
        run TEXT, member TEXT, vote TEXT, at TEXT, PRIMARY KEY (run, member, vote)
    );
    """,
    """
    CREATE TABLE measured (
        questions TEXT, kind TEXT, pool TEXT, name TEXT, right INTEGER, vote_right INTEGER,
        asked INTEGER, at TEXT, PRIMARY KEY (questions, kind, pool, name)
    );
    """,
    """
    CREATE TABLE ballots (id TEXT PRIMARY KEY, at TEXT, subject TEXT UNIQUE, ballot TEXT);
    CREATE TABLE voter (id TEXT);
    """,
    """
    CREATE TABLE kept (key TEXT PRIMARY KEY, at TEXT, value TEXT);
    CREATE TABLE bookmarks (
        name TEXT PRIMARY KEY, at TEXT, kind TEXT, title TEXT, tags TEXT, about TEXT,
        value TEXT, page TEXT
    );
    """,
)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file in a transaction, which is undone if the block raises; `LedgerError`."""
    try:
        _begin(path)
        with closing(sqlite3.connect(path, timeout=WAIT_S)) as file:
            file.row_factory = sqlite3.Row
            file.create_function("fold", 1, _fold, deterministic=True)
            _write_ahead(file)
            file.execute("PRAGMA synchronous = NORMAL")
            file.execute("PRAGMA secure_delete = ON")
            _migrate(file, path)
            with file:
                yield file
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{path}: {error}.", _advice(error)) from error


def _fold(text: str | None) -> str | None:
    """Text without its case: SQLite's own LIKE knows that of ASCII alone."""
    return text.casefold() if text is not None else None


def _begin(path: Path) -> None:
    """Make the file where there is none: it holds private prompts.

    Never touched otherwise: closing it would drop the locks of all connections in this process
    (https://sqlite.org/howtocorrupt.html, section 2.2), and under one lock for that reason.
    """
    with _beginning:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _write_ahead(file: sqlite3.Connection) -> None:
    """Let kernels read beside the one that writes.

    Switching a new file is the one step that SQLite refuses at once, whatever the timeout, while
    another kernel is at it: both hold a read lock that the other waits for.
    """
    end = time.monotonic() + WAIT_S
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _migrate(file: sqlite3.Connection, path: Path) -> None:
    (version,) = file.execute("PRAGMA user_version").fetchone()
    if version == len(MIGRATIONS):
        return
    if version > len(MIGRATIONS):
        raise LedgerError(f"{path} was written by a newer nbfuse.", "Update nbfuse.")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        try:  # all of it or nothing, and by one kernel alone
            file.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number};")
            file.commit()
        except sqlite3.Error:
            file.rollback()
            (now,) = file.execute("PRAGMA user_version").fetchone()
            if now < number:  # else another kernel has done it meanwhile
                raise


def _advice(error: Exception) -> str:
    words = str(error)
    if "locked" in words:
        return "Another program holds it; try again."
    if "full" in words or "No space" in words:
        return "Make room on the disk."
    if "not a database" in words or "malformed" in words:
        return "It is broken: move it away, and a new one is begun."
    return "Look at the file and its folder, or set NBFUSE_HISTORY=off."
