"""Answers from a table (a row for each question, a column for each model), fused as if live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import NamedTuple

from nbfuse.core.errors import BadRequestError, BadResponseError, ConfigError, ReplayError
from nbfuse.core.errors import did_you_mean as near
from nbfuse.core.measured import Measured
from nbfuse.core.pool import Pool, expand, make_pool
from nbfuse.core.types import FusionResult, to_json
from nbfuse.fusion.candidates import undress
from nbfuse.providers.recording import Asked, digest
from nbfuse.providers.registry import Target, resolve
from nbfuse.replay.columns import Cell, Column, Outside
from nbfuse.replay.scripted import Choose
from nbfuse.replay.source import Playing, Speed, Take
from nbfuse.tables import KNOWN, QUESTION, Row, rows_of

SCHEME = "table:"
JUDGE = "judge"  # what a judge is called that has no name

_Figures = Mapping[str, str | float | Decimal]


class Line(NamedTuple):
    """A row: the cells of the models and of the judges, and whom each judge preferred."""

    cells: Mapping[str, Cell]
    verdicts: Mapping[str, str | None]


def from_table(
    table: object,
    *,
    question: str | None = None,
    models: Sequence[str] | None = None,
    costs: _Figures | None = None,
    seconds: _Figures | None = None,
    verdicts: str | Mapping[str, str] | None = None,
    judge: str | Choose | None = None,
    speed: Speed = "full",
    **settings: object,
) -> Table:
    """A pool that answers from a table, to be given as `replay=`; its `pool` names all its models.

    `table` is a list of dicts, a polars or pandas frame, or the path of a CSV or JSONL file.
    `question` is the column of questions (None: `question` or `prompt`), `models` are those of
    answers (None: all that are not named otherwise). `costs` (US dollars) and `seconds` map a
    model, or `"judge"`, to a column or to a number. `verdicts` is the column that names the model
    which a judge preferred, or maps judges' names to such columns. `judge` is a live model's spec,
    or a function of the question and the candidates that returns the index of one of them, or None
    to answer with rubbish. An empty cell is a member that fails. `settings` are further fields of
    `Pool`. Raises `ConfigError`.
    """
    rows = rows_of(table)
    if not rows:
        raise ConfigError("The table has no rows.", "Give one with a row for each question.")
    question = question or next((name for name in QUESTION if name in rows[0]), QUESTION[0])
    judged = {JUDGE: verdicts} if isinstance(verdicts, str) else dict(verdicts or {})
    if judge is not None and judged:
        raise ConfigError("A table has verdicts or a judge.", "Leave one of them out.")
    figures = (*(costs or {}).values(), *(seconds or {}).values())
    taken = {question, *judged.values(), *(f for f in figures if isinstance(f, str))}
    taken |= {name for name in rows[0] if name.strip().casefold() in KNOWN}
    named = list(models or [name for name in rows[0] if name not in taken])
    judges = [*judged, *([JUDGE] if callable(judge) else [])]
    _check_columns(rows, [question, *named, *(t for t in taken if t != question)])
    _check_names(named, judges, [*(costs or {}), *(seconds or {})])
    lines: dict[str, Line] = {}
    for number, row in enumerate(rows, 1):
        asked = str(row[question] or "").strip()
        if not asked:
            raise ConfigError(
                f"Row {number} has no question.", f"Fill its {question!r}, or drop it."
            )
        if asked in lines:
            raise ConfigError(
                f"The question {asked[:60]!r} is in the table twice (again in row {number}).",
                "Keep one of the rows.",
            )
        lines[asked] = _line(row, number, named, judges, judged, costs or {}, seconds or {})
    spec = judge if isinstance(judge, str) else f"{SCHEME}{judges[0]}" if judges else None
    members = tuple(f"{SCHEME}{name}" for name in named)
    pool = make_pool({"members": members, "judge": spec, "name": "table", **settings})
    return Table(pool, lines, judge if callable(judge) else None, speed)


def _check_columns(rows: Sequence[Row], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in rows[0]:
            raise ConfigError(f"The table has no column {name!r}.", near(name, rows[0]))


def _check_names(models: Sequence[str], judges: Sequence[str], figured: Sequence[str]) -> None:
    if not models:
        raise ConfigError("The table has no column of answers.", "Add one for each model.")
    for name in models:
        if name in judges:
            raise ConfigError(f"{name!r} is a model and a judge of the table.", "Rename one.")
        if expand((f"{SCHEME}{name}",)) != (f"{SCHEME}{name}",):
            raise ConfigError(f"A model can't be called {name!r}.", "Rename its column.")
    for name in figured:
        if name not in (*models, *judges):
            raise ConfigError(f"{name!r} is no model of the table.", near(name, [*models, *judges]))


def _line(
    row: Row,
    number: int,
    models: Sequence[str],
    judges: Sequence[str],
    judged: Mapping[str, str],
    costs: _Figures,
    seconds: _Figures,
) -> Line:
    cells = {}
    for name in (*models, *judges):
        said = row.get(name) if name in models else None
        took, cost = _figure(row, number, seconds.get(name)), _figure(row, number, costs.get(name))
        text = None if said is None else str(said)
        cells[name] = Cell(text, float(took or 0), cost)
    verdicts = {name: row[column] for name, column in judged.items()}
    for name, best in verdicts.items():
        if best is not None and best not in models:
            raise ConfigError(
                f"Row {number}: {name} prefers {str(best)!r}, which is no model of the table.",
                near(str(best), models),
            )
    return Line(
        cells, {name: None if best is None else str(best) for name, best in verdicts.items()}
    )


def _figure(row: Row, number: int, figure: str | float | Decimal | None) -> Decimal | None:
    """A number of a row: from its column, or the same for all."""
    value = row[figure] if isinstance(figure, str) else figure
    if value is None:
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not (found.is_finite() and found >= 0):
        raise ConfigError(f"Row {number}: {value!r} is no cost or time.", "Give a number.")
    return found


class Table:
    """A table to be given as `replay=`; `pool` is all of its models, with its judge."""

    def __init__(
        self, pool: Pool, lines: Mapping[str, Line], judge: Choose | None, speed: Speed
    ) -> None:
        self.pool, self.speed, self._lines, self._judge = pool, speed, lines, judge

    @property
    def questions(self) -> tuple[str, ...]:
        """Its questions, in their order."""
        return tuple(self._lines)

    def strangers(self, pool: Pool) -> list[str]:
        """The members of a pool that are not in the table."""
        return [spec for spec in expand(pool.members) if not spec.startswith(SCHEME)]

    @property
    def digest(self) -> str:
        """A hash of all that its models and judges say."""
        said = {
            question: [{name: cell.text for name, cell in line.cells.items()}, line.verdicts]
            for question, line in self._lines.items()
        }
        return digest(to_json(said))

    def asks(self, pool: Pool) -> bool:
        """Whether somebody of a pool is not in the table, and will be asked."""
        return not all(spec.startswith(SCHEME) for spec in _everybody(pool))

    def answers(self, pool: Pool) -> bool:
        """Whether anybody of a pool is in the table."""
        return any(spec.startswith(SCHEME) for spec in _everybody(pool))

    def pool_for(self, prompt: str) -> Pool:  # noqa: ARG002
        """The same pool for every question."""
        return self.pool

    def begin(self, asked: Asked) -> Take:
        """The row of the question; raises `ReplayError` where there is none."""
        if asked.prompt not in self._lines:
            raise ReplayError(
                f"The question {asked.prompt[:60]!r} is not in the table.",
                near(asked.prompt, self._lines) if len(self._lines) <= 100 else "Add a row for it.",
            )
        return TableTake(asked.prompt, self._lines[asked.prompt], self._judge)


def _everybody(pool: Pool) -> list[str]:
    return [*pool.members, *filter(None, (pool.judge, pool.second_judge))]


class TableTake:
    """One row, to be fused."""

    entropy: int | None = None
    measured: Measured | None = None

    def __init__(self, question: str, line: Line, judge: Choose | None) -> None:
        self._question, self._line, self._judge = question, line, judge

    def play(self) -> Playing:
        """Begin to play it, in the loop of the run."""
        return Playing(self._resolve)

    def check(self, result: FusionResult) -> None:
        """Let everything pass: a table does not say what comes of it."""

    def timed(self, result: FusionResult) -> FusionResult:
        """The result as it is: a table's times are those of its answers."""
        return result

    def _resolve(self, spec: str) -> Target:
        if not spec.startswith(SCHEME):
            target = resolve(spec)
            return target._replace(provider=Outside(target.provider))
        name = spec.removeprefix(SCHEME)
        if name not in self._line.cells:
            raise ConfigError(f"The table has no {name!r}.", near(name, self._line.cells))
        choose = self._judge if name == JUDGE and self._judge is not None else None
        if name in self._line.verdicts:
            choose = partial(_preferred, self._line, name)
        provider = Column(name, self._question, self._line.cells[name], choose)
        return Target(spec, provider, name, replayed=True)


def _preferred(line: Line, judge: str, _question: str, candidates: list[str]) -> int:
    """Which candidate is the one that a judge of the table preferred: it knows it by its text."""
    best = line.verdicts[judge]
    if best is None:
        raise BadResponseError(f"{judge} has no verdict in the table.", "Fill that cell.")
    text = undress(line.cells[best].text or "")
    if text not in candidates:
        raise BadRequestError(
            f"{judge} preferred {best} in the table, which is no candidate here.",
            "Wait for all members: quorum.",
        )
    return candidates.index(text)
