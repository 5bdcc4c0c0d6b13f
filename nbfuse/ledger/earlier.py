"""What was asked and said before: the user's own prompts and pace, and answers to be used again."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec

from nbfuse.core.stamp import now
from nbfuse.core.types import FusionResult, from_json
from nbfuse.ledger.file import NAME, opened
from nbfuse.paths import data_folder

DAYS_A_MONTH = 30
# runs whose prompt was all that was asked: no pictures, tools or schema, which are not kept
_PLAIN = (
    "status = 'complete' AND result IS NOT NULL"
    " AND coalesce(json_extract(result, '$.images'), 0) = 0"
    " AND coalesce(json_extract(result, '$.tools'), '[]') = '[]'"
    " AND coalesce(json_extract(result, '$.answer_schema'), '{}') = '{}'"
)


class Earlier:
    """The past in the ledger at `path` (None: the user's own). Every method raises `LedgerError`.

    Looking makes no file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / NAME

    def prompts(self, limit: int) -> list[str]:
        """The latest different prompts that can be asked again as they are, the latest first."""
        query = (
            f"SELECT prompt FROM runs WHERE {_PLAIN} GROUP BY prompt"
            " ORDER BY max(started_at) DESC LIMIT ?"
        )
        return [row["prompt"] for row in self._rows(query, limit)]

    def runs(self, prompt: str) -> list[FusionResult]:
        """Every whole run of a prompt, the latest first."""
        query = f"SELECT result FROM runs WHERE {_PLAIN} AND prompt = ? ORDER BY started_at DESC"
        found = []
        for row in self._rows(query, prompt):
            try:
                found.append(from_json(FusionResult, row["result"]))
            except msgspec.MsgspecError:  # of another version: there is nothing to use again
                continue
        return found

    def monthly(self) -> int | None:
        """Runs a month at the pace so far, a day at least; None for fewer than two."""
        query = "SELECT count(*) AS many, min(started_at) AS first FROM runs"
        for row in self._rows(query):
            if row["many"] > 1:
                begun = datetime.datetime.fromisoformat(row["first"])
                days = (datetime.datetime.now(datetime.UTC) - begun).total_seconds() / 86_400
                many: int = row["many"]
                return round(many / max(1.0, days) * DAYS_A_MONTH)
        return None

    def kept(self, key: str) -> str | None:
        """What was kept under a key."""
        found = self._rows("SELECT value FROM kept WHERE key = ?", key)
        return found[0]["value"] if found else None

    def keep(self, key: str, value: str) -> None:
        """Keep something under a key."""
        with opened(self.path) as file:
            file.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (key, now(), value))

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with opened(self.path) as file:
            return [dict(row) for row in file.execute(query, values)]
