"""`nbfuse.evaluate`: asks, fuses, grades and compares, in that order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from nbfuse.api import choose as choose_pool
from nbfuse.config import history
from nbfuse.core.errors import ConfigError, LedgerError, NoAnswerError, no_answer
from nbfuse.core.pool import Pool
from nbfuse.core.types import Answer
from nbfuse.evaluation.arms import Choices, choose, outcomes, samples, ungraded
from nbfuse.evaluation.asking import Asking, Panel
from nbfuse.evaluation.evaluation import Evaluation
from nbfuse.evaluation.grading import Grade, Marks, check_references
from nbfuse.evaluation.journal import Journal
from nbfuse.evaluation.notes import Run, budget_notes, failure_notes, grader_notes
from nbfuse.evaluation.progress import Step, shown
from nbfuse.evaluation.questions import Asked, Question, digest, read_questions
from nbfuse.evaluation.results import Outcome, PoolReport
from nbfuse.evaluation.statistics import need
from nbfuse.evaluation.summary import pool_report, verdict_of
from nbfuse.evaluation.votes import Case, fold_of
from nbfuse.fusion.plan import make_plan

FRUITLESS = 5  # questions without any answer, after which there will be none: no key, no server

_T = TypeVar("_T")


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
) -> Evaluation:
    """Whether fusing pays on your own questions: each pool against its best member, paired.

    `questions` is the path of a CSV or JSON-lines file, a list of dicts or a DataFrame with columns
    `question`, `reference` and, where wanted, `id` and `kind` (number, choice, label, json, code,
    text). `grade(answer, row)` marks answers instead: True, False, or 0 to 1; it may be async.
    `out` is a file in which every answer is kept as it arrives: called again with it, an evaluation
    that was stopped goes on and pays nothing twice. `concurrency` is how many questions are asked
    at once, `budget` US dollars after which no further one is begun (what `out` holds counts),
    `seed` draws folds, shuffles and resamples. Each model is asked once a question, and its best
    member as often again as costs what the pool does. Needs the extra `evaluate`.

    Raises `ConfigError`, `PrivacyError` or `BudgetError` before anything is spent, and
    `NoAnswerError` where nobody answers the first questions.
    """
    need("scipy.stats")
    asked = read_questions(questions, graded=grade is not None)
    panels = await _panels(pools, asked)
    kind = next((panel.pool.answer for panel in panels if panel.pool.answer), None)
    if grade is None:
        check_references(asked, kind)
    limit = _dollars(budget)
    if concurrency < 1:
        raise ConfigError(f"concurrency can't be {concurrency}.", "Give 1 or more.")
    journal = Journal(
        Path(out) if out is not None else None,
        [one.question for one in asked],
        {panel.name: panel.pool for panel in panels},
    )
    try:
        with shown(progress) as step:
            work = _Work(
                panels, asked, Marks(asked, grade, kind), Asking(journal, seed), step, limit
            )
            return await work.run(concurrency, seed)
    finally:
        journal.close()


async def _panels(
    pools: Pool | str | Sequence[Pool | str] | None, asked: Sequence[Asked]
) -> tuple[Panel, ...]:
    """The pools under names of their own; raises what can be known before anything is spent."""
    named = [pools] if pools is None or isinstance(pools, str | Pool) else list(pools)
    chosen = [choose_pool(pool, {}) for pool in named]
    if not chosen:
        raise ConfigError("There are no pools.", "Name one, or leave it out for the default.")
    longest = max((one.question.text for one in asked), key=len)
    panels: list[Panel] = []
    for pool in chosen:
        name = pool.name or "pool"
        number = sum(panel.name.split(" #")[0] == name for panel in panels)
        plan = await make_plan(longest, pool)
        panels.append(Panel(f"{name} #{number + 1}" if number else name, pool, plan))
    return tuple(panels)


def _dollars(budget: Decimal | float | str | None) -> Decimal | None:
    try:
        limit = None if budget is None else Decimal(str(budget))
    except InvalidOperation:
        limit = Decimal("NaN")
    if limit is not None and not limit >= 0:
        raise ConfigError(f"budget can't be {budget!r}.", "Give US dollars, like 0.5.")
    return limit


class _Work:
    """An evaluation in progress; all that changes during it is here and in the journal."""

    def __init__(
        self,
        panels: Sequence[Panel],
        asked: Sequence[Asked],
        marks: Marks,
        asking: Asking,
        step: Step,
        limit: Decimal | None,
    ) -> None:
        self._panels, self._asked, self._marks = panels, asked, marks
        self._asking, self._step, self._limit = asking, step, limit
        self._runs: dict[tuple[str, str], Run] = {}  # by pool and question
        self._panel_answers: dict[tuple[str, str], tuple[Answer, ...]] = {}
        self._done = 0
        self._answered = False

    async def run(self, concurrency: int, seed: int) -> Evaluation:
        """Ask, fuse and grade everything; then the self-panels, whose model that decides."""
        await _each([one.question for one in self._asked], concurrency, self._ask)
        self._check_grader()
        reports: list[PoolReport] = []
        made: list[Outcome] = []
        for panel in self._panels:
            if cases := self._cases(panel):
                chosen = choose(panel, cases, seed)
                count = samples(cases, chosen.overall)
                await self._ask_self_panel(panel, cases, chosen, count, concurrency)
                cases = self._cases(panel)  # its answers may have broken the grader
                rows = outcomes(panel, cases, chosen, self._repeated(panel, cases), self._marks)
                reports.append(pool_report(panel, cases, chosen, count, rows, len(self._panels)))
                made += rows
        made += [
            ungraded(panel, question, run.answers, run.result)
            for panel in self._panels
            for question, run in self._runs_of(panel).items()
            if question in self._marks.troubles
        ]
        return Evaluation(
            sentence=verdict_of(reports),
            questions=tuple(one.question for one in self._asked),
            outcomes=tuple(made),
            pools=tuple(reports),
            notes=(*self._notes(), *_keep(self._panels, reports, self._asked)),
            spent=self._asking.spent,
        )

    async def _ask_self_panel(
        self,
        panel: Panel,
        cases: Sequence[Case],
        chosen: Choices,
        count: int,
        concurrency: int,
    ) -> None:
        """Every question again to the member that is best elsewhere, `count` times."""
        self._done = 0

        async def ask(case: Case) -> None:
            if not self._is_spent():
                member = chosen.best[fold_of(case.question, chosen.seed)]
                await self._ask_again(panel, case.question, member, count)
            self._tell(f"{panel.name}: {count} samples of its best member", len(cases))

        await _each(cases, concurrency, ask)

    def _repeated(self, panel: Panel, cases: Sequence[Case]) -> dict[str, tuple[Answer, ...]]:
        """What the self-panel said; nothing where a budget did not last for all questions."""
        said = {question: answers for (pool, question), answers in self._panel_answers.items()
                if pool == panel.name}  # fmt: skip
        return said if all(case.question.id in said for case in cases) else {}

    def _runs_of(self, panel: Panel) -> dict[str, Run]:
        return {question: run for (pool, question), run in self._runs.items() if pool == panel.name}

    def _notes(self) -> list[str]:
        begun, troubles = len({question for _, question in self._runs}), self._marks.troubles
        spent, unpriced = self._asking.spent, self._asking.unpriced
        notes = budget_notes(self._asked, begun, self._limit, spent, unpriced)
        notes += grader_notes(troubles, begun)
        for panel in self._panels:
            notes += failure_notes(panel.name, self._runs_of(panel))
        return notes

    async def _ask(self, question: Question) -> None:
        """One question to everybody."""
        if self._is_spent():
            return
        for panel in self._panels:
            answers = await self._asking.ask(question, panel, panel.voices(question.text))
            result = await self._asking.fuse(question, panel, answers)
            texts = [answer.text for answer in answers if answer.usable]
            await self._marks.grade(question.id, [*texts, result.text])
            self._runs[panel.name, question.id] = Run(answers, result)
            self._answered = self._answered or bool(texts)
        self._tell("questions", len(self._asked))
        if not self._answered and self._done >= min(FRUITLESS, len(self._asked)):
            reasons = no_answer(answers, result)
            many = f"any of the first {self._done} questions" if self._done > 1 else "the question"
            raise NoAnswerError(f"No member answered {many}.", reasons.hint, result)

    async def _ask_again(self, panel: Panel, question: Question, member: str, count: int) -> None:
        """A question to a self-panel."""
        spec = panel.specs[panel.labels.index(member)]
        voices = [panel.voice(spec, i, repeated=True) for i in range(count)]
        answers = await self._asking.ask(question, panel, voices)
        await self._marks.grade(question.id, [a.text for a in answers if a.usable])
        self._panel_answers[panel.name, question.id] = answers

    def _is_spent(self) -> bool:
        return self._limit is not None and self._asking.spent >= self._limit

    def _tell(self, what: str, total: int) -> None:
        self._done += 1
        self._step(what, self._done, total)

    def _check_grader(self) -> None:
        troubles = self._marks.troubles
        if troubles and all(name in troubles for _, name in self._runs):
            name, trouble = next(iter(troubles.items()))
            raise ConfigError(
                f"The grading function failed on all {len(troubles)} questions; on {name}: "
                f"{trouble}.",
                "Mend it and evaluate again; with out=FILE nothing is asked twice.",
            )

    def _cases(self, panel: Panel) -> list[Case]:
        """Its questions that were asked and could be graded, in the order of the table."""
        made = []
        for question, _ in self._asked:
            run = self._runs.get((panel.name, question.id))
            if run is None or question.id in self._marks.troubles:
                continue
            texts = [answer.text if answer.usable else "" for answer in run.answers]
            marks = [self._marks.of(question.id, text) or 0.0 for text in texts]
            mark = self._marks.of(question.id, run.result.text) or 0.0
            kind = self._marks.kind(question)
            made.append(Case(question, kind, run.answers, tuple(marks), run.result, mark))
        return made


async def _each(
    items: Iterable[_T], concurrency: int, work: Callable[[_T], Awaitable[None]]
) -> None:
    """Work on all items, so many at once; raises the first error by itself."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise _first(failed) from None


def _first(failed: ExceptionGroup[Exception]) -> Exception:
    error: Exception = failed
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


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
