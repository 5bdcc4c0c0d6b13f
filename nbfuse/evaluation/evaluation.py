"""`Evaluation`: what came of it, as a DataFrame, a report and a sentence."""

from __future__ import annotations

import importlib
from decimal import Decimal
from typing import Any

import msgspec

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.measured import Measured
from nbfuse.core.types import SCHEMA
from nbfuse.evaluation.questions import Question
from nbfuse.evaluation.results import Arm, Outcome, PoolReport

FRAMES = ("polars", "pandas")


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How pools did on a set of questions; `sentence` is what it comes to.

    `outcomes` has one row for each question and arm, `pools` the figures of each pool, `notes` what
    one has to know to read them. `str(evaluation)` is the report, `to_json` and `from_json` keep it
    and bring it back.
    """

    sentence: str
    questions: tuple[Question, ...]
    outcomes: tuple[Outcome, ...]
    pools: tuple[PoolReport, ...]
    notes: tuple[str, ...] = ()
    spent: Decimal | None = None
    schema: int = SCHEMA

    @property
    def summary(self) -> tuple[tuple[str, Arm], ...]:
        """Every arm with the name of its pool."""
        return tuple((report.pool, arm) for report in self.pools for arm in report.arms)

    def frame(self) -> Any:
        """One row for each question and arm, as a polars or else a pandas DataFrame.

        Costs are US dollars, as floats. Raises `ConfigError` where neither is installed.
        """
        asked = {question.id: question for question in self.questions}
        rows = []
        for outcome in self.outcomes:
            question = asked[outcome.question]
            row = msgspec.structs.asdict(outcome)
            row["cost"] = None if outcome.cost is None else float(outcome.cost)
            row |= {"asked": question.text, "reference": question.reference}
            rows.append(row)
        columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
        for name in FRAMES:
            try:
                return importlib.import_module(name).DataFrame(columns)
            except ImportError:
                continue
        raise ConfigError("There is neither polars nor pandas.", "pip install polars")

    def measured(self, pool: str = "") -> Measured:
        """What it has shown of a pool's models, judge and agreement, as runs read it.

        The name may be left out where there is one pool; raises `ConfigError`.
        """
        names = [report.pool for report in self.pools]
        if not pool and len(names) == 1:
            return self.pools[0].measured
        if pool not in names:
            what = f"There is no pool {pool!r} in it." if pool else "There are several pools in it."
            raise ConfigError(what, did_you_mean(pool, names))
        return self.pools[names.index(pool)].measured

    def __str__(self) -> str:
        from nbfuse.evaluation.report import to_text

        return to_text(self)

    def __repr__(self) -> str:
        return f"<Evaluation of {len(self.questions)} questions: {self.sentence}>"

    def _repr_html_(self) -> str:
        from nbfuse.evaluation.page import to_html

        return to_html(self)

    def _repr_markdown_(self) -> str:
        from nbfuse.evaluation.report import to_markdown

        return to_markdown(self)
