"""The measured shares in the ledger's file: of models, of classes of agreement, of judges.

Each is kept by the table of questions that it was measured on, so that evaluating the same table
again replaces what it gave before; shares of different tables are summed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from nbfuse.core.errors import LedgerError
from nbfuse.core.measured import Measured, Record, Share
from nbfuse.core.pool import Pool, expand
from nbfuse.core.stamp import now

READ_S = 0.05  # that a run may wait for another program which writes


def key_of(pool: Pool) -> str:
    """What stands for a pool's agreement and its judge: members, judge, mode, kind of answer.

    A judge's record belongs to its members too: it is held against their vote.
    """
    specs = expand(pool.members)
    about = (sorted(specs), pool.judge or specs[0], pool.mode, pool.answer)
    return hashlib.sha256(msgspec.json.encode(about)).hexdigest()[:16]


def keep(file: sqlite3.Connection, pool: Pool, measured: Measured, table: str) -> None:
    """Put the shares in place of what the same pool had on the same table of questions."""
    key = key_of(pool)
    file.execute("DELETE FROM measured WHERE questions = ? AND pool = ?", (table, key))
    rows: list[tuple[str, str, str, int, int | None, int]] = []
    rows += [("model", "", name, s.right, None, s.asked) for name, s in measured.models.items()]
    rows += [("class", key, name, s.right, None, s.asked) for name, s in measured.classes.items()]
    rows += [
        ("judge", key, name, r.right, r.vote_right, r.asked) for name, r in measured.judges.items()
    ]
    if (weighing := measured.weighing) is not None:
        rows.append(("weighing", key, "", weighing.right, weighing.vote_right, weighing.asked))
    rows += [
        ("alone", key, name, r.right, r.vote_right, r.asked) for name, r in measured.alone.items()
    ]
    file.executemany(
        "INSERT OR REPLACE INTO measured"
        " (questions, kind, pool, name, right, vote_right, asked, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(table, *row, now()) for row in rows],
    )


def read(path: Path, pool: Pool) -> Measured:
    """What is known of a pool; nothing where there is no file. Raises `LedgerError`.

    Made to be quick, since every run asks: the file is only read, and never laid out anew.
    """
    if not path.exists():
        return Measured()
    asked = (
        "SELECT kind, name, SUM(right), SUM(vote_right), SUM(asked) FROM measured"
        " WHERE kind = 'model' OR pool = ? GROUP BY kind, name"
    )
    try:
        with closing(sqlite3.connect(path, timeout=READ_S)) as file:
            there = file.execute("SELECT 1 FROM sqlite_master WHERE name = 'measured'").fetchone()
            return _measured(file.execute(asked, (key_of(pool),)) if there else ())
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: {error}.", "What was measured is not used.") from error


def _measured(rows: Iterable[tuple[str, str, int, int | None, int]]) -> Measured:
    models: dict[str, Share] = {}
    classes: dict[str, Share] = {}
    judges: dict[str, Record] = {}
    alone: dict[str, Record] = {}
    weighing: Record | None = None
    for kind, name, right, vote_right, asked in rows:
        match kind:
            case "model":
                models[name] = Share(right, asked)
            case "class":
                classes[name] = Share(right, asked)
            case "judge":
                judges[name] = Record(right, vote_right or 0, asked)
            case "alone":
                alone[name] = Record(right, vote_right or 0, asked)
            case "weighing":
                weighing = Record(right, vote_right or 0, asked)
    return Measured(models, classes, judges, weighing, alone)
