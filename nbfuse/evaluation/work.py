"""An evaluation in progress: asks and fuses every question, grades, and then asks self-panels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

from nbfuse.core.errors import ConfigError, NoAnswerError, no_answer
from nbfuse.core.types import Answer
from nbfuse.evaluation.arms import Choices, choose, outcomes, samples, ungraded
from nbfuse.evaluation.asking import Asking
from nbfuse.evaluation.evaluation import Evaluation
from nbfuse.evaluation.grading import Marks
from nbfuse.evaluation.notes import (
    ONE_ANSWER,
    Run,
    budget_notes,
    failure_notes,
    grader_notes,
    judge_notes,
)
from nbfuse.evaluation.progress import Step
from nbfuse.evaluation.questions import Asked, Question
from nbfuse.evaluation.results import Outcome, PoolReport
from nbfuse.evaluation.summary import pool_report, verdict_of
from nbfuse.evaluation.voices import Panel
from nbfuse.evaluation.votes import Case

FRUITLESS = 5  # questions without any answer, after which there will be none: no key, no server

_T = TypeVar("_T")


class Work:
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
        await each([one.question for one in self._asked], concurrency, self._ask)
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
            notes=tuple(self._notes()),
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
        """Every question again to the best member, `count` times.

        That of all questions: chosen out of fold it would be weaker, and fusion look better.
        """
        self._done = 0
        if self._asking.source is not None:  # which holds one answer of each
            return

        async def ask(case: Case) -> None:
            if not self._is_spent():
                await self._ask_again(panel, case.question, chosen.overall, count)
            self._tell(f"{panel.name}: {count} samples of {chosen.overall}", len(cases))

        await each(cases, concurrency, ask)

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
        notes = [ONE_ANSWER] if self._asking.source is not None else []
        notes += budget_notes(self._asked, begun, self._limit, spent, unpriced)
        notes += grader_notes(troubles, begun)
        for panel in self._panels:
            notes += failure_notes(panel.name, self._runs_of(panel))
            notes += judge_notes(panel.name, self._runs_of(panel))
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
            raise NoAnswerError(
                f"No member answered {unanswered(self._done)}.", reasons.hint, result
            )

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


def unanswered(count: int) -> str:
    """What nobody answered, of so many questions that were asked first."""
    return f"any of the first {count} questions" if count > 1 else "the question"


async def each(
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
