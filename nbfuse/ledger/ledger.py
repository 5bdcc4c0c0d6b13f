"""The ledger: every run and every answer in one SQLite file in the user's data folder.

Each write is a connection and a transaction of its own: several kernels share the file, and one
that is killed has lost nothing that was written. It is read with any SQLite tool; `to_json` text
keeps what has no column.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeGuard, get_args

import msgspec

from nbfuse.config import LONGEST_HISTORY
from nbfuse.core.errors import LedgerError
from nbfuse.core.events import RunPlanned
from nbfuse.core.measured import Measured
from nbfuse.core.pool import Pool
from nbfuse.core.stamp import now
from nbfuse.core.types import Answer, FusionResult, Verdict, from_json, to_json
from nbfuse.ledger import measures
from nbfuse.ledger.ballots import forget_prompts
from nbfuse.ledger.file import NAME, opened
from nbfuse.paths import data_folder

LEAST_TOKENS, LATEST = 16, 500  # of an answer that tells a speed; answers that are looked at
LEAST_OF_A_NAME = 4  # letters of a run's name that stand for the whole

Vote = Literal["up", "down", "best"]
RUNNING = "running"  # a run's status until its result is there


def is_vote(word: str) -> TypeGuard[Vote]:
    """Whether `word` is one of the three votes."""
    return word in get_args(Vote)


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the history lists it: `started_at` in UTC, cost in US dollars, None for unknown.

    `votes` are the user's own, as (member, vote); the fused answer has no name.
    """

    run: str
    started_at: str
    prompt: str
    pool: str
    mode: str
    judge: str | None
    models: tuple[str, ...]
    status: str
    seconds: float | None
    tokens: int | None
    cost: Decimal | None
    text: str
    votes: tuple[tuple[str, Vote], ...]


class Ledger:
    """The file at `path` (None: the user's own). Every method raises `LedgerError`."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / NAME

    def begin(self, plan: RunPlanned) -> None:
        """Note a run before it asks anybody."""
        row = _run_row(plan) | {"status": RUNNING, "plan": to_json(plan)}
        with opened(self.path) as file:
            _put(file, "runs", row)

    def keep(self, run: str, place: int, answer: Answer) -> None:
        """Note an answer that has ended, `place` being its number in the pool."""
        with opened(self.path) as file:
            _put(file, "answers", _answer_row(run, place, answer) | {"answer": to_json(answer)})

    def end(self, result: FusionResult) -> None:
        """Note the whole result, whatever of it was noted before."""
        row = _run_row(result) | {
            "status": result.status,
            "seconds": result.seconds,
            "tokens": result.tokens,
            "cost": None if result.cost is None else str(result.cost),
            "text": result.text,
            "result": to_json(result),
        }
        with opened(self.path) as file:
            _put(file, "runs", row)
            for place, answer in enumerate(result.answers):
                _put(file, "answers", _answer_row(result.run, place, answer))

    def runs(
        self,
        search: str = "",
        *,
        pool: str = "",
        model: str = "",
        day: str = "",
        least_cost: float | None = None,
        limit: int = 20,
    ) -> list[PastRun]:
        """The latest runs first.

        `search` is a word of the prompt or of an answer, `model` a part of a member's or the
        judge's name, `day` a date of this place or the beginning of one ("2026-11"), `least_cost`
        is in US dollars.
        """
        wanted: list[tuple[str, object]] = []
        if search:
            wanted.append((f"{_has('prompt')} OR {_has('text')} OR {_answer_has('text')}", search))
        if pool:
            wanted.append(("pool = ?1", pool))
        if model:
            wanted.append((f"{_has('judge')} OR {_answer_has('spec')}", model))
        if day:
            wanted.append((r"date(started_at, 'localtime') LIKE ?1 ESCAPE '\'", _begins(day)))
        if least_cost is not None:
            wanted.append(("CAST(cost AS REAL) >= ?1", least_cost))
        parts, values = [], []
        for number, (part, value) in enumerate(wanted, 1):
            parts.append(f"({part.replace('?1', f'?{number}')})")
            values.append(value)
        query = (
            "SELECT *, (SELECT group_concat(spec, char(10)) FROM (SELECT spec FROM answers a"
            " WHERE a.run = runs.run ORDER BY place)) AS models FROM runs"
            f"{' WHERE ' + ' AND '.join(parts) if parts else ''}"
            f" ORDER BY started_at DESC, rowid DESC LIMIT {max(0, int(limit))}"
        )
        if not self.path.exists():
            return []
        with opened(self.path) as file:
            rows = list(file.execute(query, values))
            return [_past_run(row, _votes(file, row["run"])) for row in rows]

    def load(self, run: str) -> FusionResult:
        """The result of a run, named by the first letters of its name.

        Of a run that was cut off, as when its kernel was killed, what had been noted.
        """
        rows: list[sqlite3.Row] = []
        if len(run) >= LEAST_OF_A_NAME and self.path.exists():
            with opened(self.path) as file:
                found = "SELECT * FROM runs WHERE run LIKE ? ESCAPE '\\' LIMIT 2"
                rows = list(file.execute(found, (_begins(run),)))
                if len(rows) == 1 and rows[0]["result"] is None:
                    asked = "SELECT answer FROM answers WHERE run = ? ORDER BY place"
                    kept = [from_json(Answer, a[0]) for a in file.execute(asked, (rows[0]["run"],))]
                    return _cut_off(rows[0], tuple(kept))
        if len(rows) != 1:
            what = "Several runs begin" if rows else "No run begins"
            raise LedgerError(f"{what} with {run!r}.", "See the history for their names.")
        try:
            return from_json(FusionResult, rows[0]["result"])
        except msgspec.ValidationError as error:
            raise LedgerError(
                f"Run {run} was written by another version of nbfuse: {error}.",
                f"Its text is in {self.path}.",
            ) from error

    def vote(self, run: str, vote: Vote, member: str = "") -> None:
        """Note what the user thinks of a member's answer (no name: of the fused one).

        Of "up" and "down" the later holds, and one answer of a run is the best.
        """
        with opened(self.path) as file:
            if vote == "best":
                file.execute("DELETE FROM votes WHERE run = ? AND vote = 'best'", (run,))
            else:
                thumbs = "DELETE FROM votes WHERE run = ? AND member = ? AND vote != 'best'"
                file.execute(thumbs, (run, member))
            _put(file, "votes", {"run": run, "member": member, "vote": vote, "at": now()})

    def votes(self, run: str) -> tuple[tuple[str, Vote], ...]:
        """What the user thinks of a run's answers, as (member, vote)."""
        if not self.path.exists():  # looking makes no file
            return ()
        with opened(self.path) as file:
            return _votes(file, run)

    def rates(self) -> dict[str, float]:
        """Tokens a second of each model, waiting included, over the latest answers."""
        latest = (
            "SELECT spec, SUM(tokens) / SUM(seconds) AS rate FROM (SELECT * FROM answers WHERE"
            f" tokens >= {LEAST_TOKENS} AND seconds > 0 ORDER BY rowid DESC LIMIT {LATEST})"
            " GROUP BY spec"
        )
        if not self.path.exists():
            return {}
        with opened(self.path) as file:
            return {row["spec"]: row["rate"] for row in file.execute(latest)}

    def keep_measured(self, pool: Pool, measured: Measured, table: str) -> None:
        """Note what an evaluation has shown of `pool` on the questions that `table` stands for."""
        with opened(self.path) as file:
            measures.keep(file, pool, measured, table)

    def measured(self, pool: Pool) -> Measured:
        """What all evaluations have shown of the models, the judge and the agreement of `pool`."""
        return measures.read(self.path, pool)

    def clear(self, older_days: float = 0.0) -> int:
        """Forget all runs that began more than `older_days` ago; how many these were."""
        if not 0 <= older_days <= LONGEST_HISTORY:
            raise LedgerError(f"Nothing is {older_days:g} days old.", "Give a number of days.")
        if not self.path.exists():
            return 0
        edge = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=older_days)
        with opened(self.path) as file:
            old = "DELETE FROM runs WHERE started_at <= ?"
            count = file.execute(old, (edge.isoformat(),))
            for table in ("answers", "votes"):
                file.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT run FROM runs)")
            forget_prompts(file, edge.isoformat())
            file.execute("DELETE FROM kept WHERE at <= ?", (edge.isoformat(),))
        if count.rowcount and not older_days:
            with opened(self.path) as file:  # what was forgotten is not to be found in the file
                file.execute("VACUUM")
        return count.rowcount


def _put(file: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    names = ", ".join(row)
    places = ", ".join("?" * len(row))
    file.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})", [*row.values()])


def _run_row(about: RunPlanned | FusionResult) -> dict[str, object]:
    names = ("run", "started_at", "prompt", "pool", "mode", "judge")
    return {name: getattr(about, name) for name in names}


def _answer_row(run: str, place: int, answer: Answer) -> dict[str, object]:
    return {
        "run": run,
        "place": place,
        "member": answer.member,
        "spec": answer.spec,
        "status": answer.status,
        "seconds": answer.seconds,
        "tokens": answer.usage.completion_tokens if answer.usage else None,
        "cost": None if answer.cost is None else str(answer.cost),
        "text": answer.text,
    }


def _votes(file: sqlite3.Connection, run: str) -> tuple[tuple[str, Vote], ...]:
    asked = "SELECT member, vote FROM votes WHERE run = ? ORDER BY at, rowid"
    return tuple((row["member"], row["vote"]) for row in file.execute(asked, (run,)))


def _past_run(row: sqlite3.Row, votes: tuple[tuple[str, Vote], ...]) -> PastRun:
    about = {name: row[name] for name in PastRun.__struct_fields__ if name != "votes"}
    about["votes"] = votes
    about["models"] = tuple((row["models"] or "").splitlines())
    about["cost"] = None if row["cost"] is None else Decimal(row["cost"])
    return PastRun(**about | {"text": row["text"] or ""})


def _cut_off(row: sqlite3.Row, answers: tuple[Answer, ...]) -> FusionResult:
    reason = "This run has not ended, or was cut off before its end; these answers had been kept."
    plan = from_json(RunPlanned, row["plan"]) if row["plan"] else None
    if plan is not None:
        kept = {answer.member: answer for answer in answers}
        answers = tuple(
            kept.get(member) or Answer(member=member, spec=spec, status="stopped")
            for member, spec in zip(plan.members, plan.specs, strict=True)
        )
    return FusionResult(
        run=row["run"],
        prompt=row["prompt"],
        mode=row["mode"],
        text="",
        verdict=Verdict(decided_by="stopped", reason=reason),
        answers=answers,
        pool=row["pool"],
        settings=plan.settings if plan is not None else {},
        judge=row["judge"],
        status="stopped",
        started_at=row["started_at"],
    )


def _has(column: str) -> str:
    return f"instr(fold({column}), fold(?1)) > 0"


def _answer_has(column: str) -> str:
    return f"EXISTS (SELECT 1 FROM answers a WHERE a.run = runs.run AND {_has(f'a.{column}')})"


def _begins(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{escaped}%"
