"""Votes on contenders in the ledger's file: one on each subject, the latest."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from nbfuse.core.ballot import Ballot
from nbfuse.core.types import from_json, to_json
from nbfuse.ledger.file import NAME, opened
from nbfuse.paths import data_folder


class Ballots:
    """The votes in the ledger at `path` (None: the user's own). All methods raise `LedgerError`."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / NAME

    def voter(self) -> str:
        """The random name under which this user's votes go to others; drawn once."""
        drawn = os.urandom(16).hex()
        with opened(self.path) as file:
            file.execute(
                "INSERT INTO voter SELECT ? WHERE NOT EXISTS (SELECT 1 FROM voter)", (drawn,)
            )
            return str(file.execute("SELECT id FROM voter").fetchone()["id"])

    def cast(self, ballot: Ballot) -> None:
        """Put a vote in place of an earlier one on the same."""
        row = (ballot.id, ballot.at, to_json(ballot.subject), to_json(ballot))
        with opened(self.path) as file:
            file.execute("INSERT OR REPLACE INTO ballots VALUES (?, ?, ?, ?)", row)

    def all(self) -> list[Ballot]:
        """The votes in the order of their times."""
        if not self.path.exists():
            return []
        with opened(self.path) as file:
            rows = file.execute("SELECT ballot FROM ballots ORDER BY at, rowid")
            return [from_json(Ballot, row["ballot"]) for row in rows]


def forget_prompts(file: sqlite3.Connection, edge: str) -> None:
    """Take the prompts out of votes that were cast up to a time: what was voted stays."""
    query = "UPDATE ballots SET ballot = json_remove(ballot, '$.prompt') WHERE at <= ?"
    file.execute(query, (edge,))
