"""`nbfuse.evaluate`: asks, fuses, grades and compares, in that order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from nbfuse.api import choose as choose_pool
from nbfuse.config import history
from nbfuse.core.errors import ConfigError, LedgerError
from nbfuse.core.pool import Pool
from nbfuse.core.request import Request
from nbfuse.evaluation.asking import Asking
from nbfuse.evaluation.evaluation import Evaluation
from nbfuse.evaluation.grading import Grade, Marks, check_references
from nbfuse.evaluation.journal import Journal
from nbfuse.evaluation.progress import shown
from nbfuse.evaluation.questions import Asked, digest, read_questions
from nbfuse.evaluation.results import PoolReport
from nbfuse.evaluation.statistics import need
from nbfuse.evaluation.voices import Panel
from nbfuse.evaluation.work import Work
from nbfuse.fusion.plan import make_plan
from nbfuse.replay import Table
from nbfuse.replay.source import asked_of


async def evaluate(
    questions: object,
    pools: Pool | str | Sequence[Pool | str] | None = None,
    /,
    *,
    grade: Grade | None = None,
    out: str | os.PathLike[str] | None = None,
    concurrency: int = 4,
    budget: Decimal | float | str | None = None,
    seed: int = 0,
    progress: bool = True,
    replay: Table | None = None,
) -> Evaluation:
    """Whether fusing pays on your own questions: each pool against its best member, paired.

    `questions` is the path of a CSV or JSON-lines file, a list of dicts or a DataFrame with columns
    `question`, `reference` and, where wanted, `id` and `kind` (number, choice, label, json, code,
    text). `grade(answer, row)` marks answers instead: True, False, or 0 to 1; it may be async.
    `out` is a file in which every answer is kept as it arrives: called again with it, an evaluation
    that was stopped goes on and pays nothing twice. `concurrency` is how many questions are asked
    at once, `budget` US dollars after which no further one is begun (what `out` holds counts),
    `seed` draws folds, shuffles and resamples. Each model is asked once a question, and its best
    member as often again as costs what the pool does. With `replay`, a table of
    `nbfuse.replay.from_table`, its columns answer instead: there is no such self-panel then, and
    the ledger keeps nothing. Needs the extra `evaluate`.

    Raises `ConfigError`, `PrivacyError`, `BudgetError` or `ReplayError` before anything is spent,
    and `NoAnswerError` where nobody answers the first questions.
    """
    need("scipy.stats")
    asked = read_questions(questions, graded=grade is not None)
    if replay is not None and not isinstance(replay, Table):
        raise ConfigError(
            f"{type(replay).__name__} can't be evaluated.", "Give nbfuse.replay.from_table(…)."
        )
    panels = await _panels(pools, asked, replay)
    kind = next((panel.pool.answer for panel in panels if panel.pool.answer), None)
    if grade is None:
        check_references(asked, kind)
    limit = dollars(budget)
    if concurrency < 1:
        raise ConfigError(f"concurrency can't be {concurrency}.", "Give 1 or more.")
    journal = Journal(
        Path(out) if out is not None else None,
        [one.question for one in asked],
        {panel.name: panel.pool for panel in panels},
        replay.digest if replay is not None else "",
    )
    try:
        with shown(progress) as step:
            marks, asking = Marks(asked, grade, kind), Asking(journal, seed, replay)
            found = await Work(panels, asked, marks, asking, step, limit).run(concurrency, seed)
    finally:
        journal.close()
    if replay is not None:  # the columns of another table may have the same names
        return found
    notes = (*found.notes, *_keep(panels, found.pools, asked))
    return msgspec.structs.replace(found, notes=notes)


async def _panels(
    pools: Pool | str | Sequence[Pool | str] | None, asked: Sequence[Asked], table: Table | None
) -> tuple[Panel, ...]:
    """The pools under names of their own; raises what can be known before anything is spent."""
    if pools is None and table is not None:
        pools = table.pool
    named = [pools] if pools is None or isinstance(pools, str | Pool) else list(pools)
    chosen = [choose_pool(pool, {}) for pool in named]
    if not chosen:
        raise ConfigError("There are no pools.", "Name one, or leave it out for the default.")
    texts = [one.question.text for one in asked]
    longest = max(texts, key=len)
    panels: list[Panel] = []
    for pool in chosen:
        name = pool.name or "pool"
        number = sum(panel.name.split(" #")[0] == name for panel in panels)
        if table is not None and (strangers := table.strangers(pool)):
            raise ConfigError(
                f"Pool {name} asks {', '.join(strangers)}, which the table has no answers of.",
                f"Its models are {', '.join(table.pool.members)}.",
            )
        if table is None:
            plan = await make_plan(Request(longest, pool))
        else:
            takes = {text: table.begin(asked_of(Request(text, pool))) for text in texts}
            plan = await make_plan(Request(longest, pool), takes[longest].play().resolve)
        panels.append(Panel(f"{name} #{number + 1}" if number else name, pool, plan))
    return tuple(panels)


def dollars(budget: Decimal | float | str | None) -> Decimal | None:
    """US dollars that a user gives, None for none; raises `ConfigError`."""
    if budget is None:
        return None
    with contextlib.suppress(InvalidOperation):
        limit = Decimal(str(budget))
        if limit >= 0:
            return limit
    raise ConfigError(f"budget can't be {budget!r}.", "Give US dollars, like 0.5.")


def _keep(
    panels: Sequence[Panel], reports: Sequence[PoolReport], asked: Sequence[Asked]
) -> list[str]:
    """Hand the shares to the ledger, where there is a history; what went wrong, as a note."""
    if not history().on or not reports:
        return []
    from nbfuse.ledger.ledger import Ledger

    # of the whole table: a part of it that a budget allowed is replaced when all of it is asked
    table = digest(*sorted(one.question.text for one in asked))
    pools = {panel.name: panel.pool for panel in panels}
    try:
        for report in reports:
            Ledger().keep_measured(pools[report.pool], report.measured, table)
    except LedgerError as error:
        return [f"What was measured is not in the ledger. {error.message} {error.hint}"]
    return []
