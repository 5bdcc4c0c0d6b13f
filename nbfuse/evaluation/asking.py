"""Asks each question of each voice once, and fuses the same answers in every pool.

This is all of the evaluation that runs models. A voice is a model as a pool asks it: pools that
share one share its answers, so that they are compared on the very same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import NamedTuple

import msgspec

from nbfuse.core.errors import NbfuseError, NoAnswerError
from nbfuse.core.events import RunFinished
from nbfuse.core.pool import Pool, expand, labels
from nbfuse.core.request import Request
from nbfuse.core.types import Answer, FusionResult, to_json
from nbfuse.evaluation.journal import Journal
from nbfuse.evaluation.questions import Question, digest
from nbfuse.fusion.dispatch import SELF_PANEL_TEMPERATURE
from nbfuse.fusion.engine import stream
from nbfuse.fusion.parts import split
from nbfuse.fusion.plan import Plan
from nbfuse.replay import Table, replayed


class Voice(NamedTuple):
    """What makes an answer: a model, its settings, and which of several samples it is.

    `judge` is set where a pool's judge has questions of several parts asked one by one.
    """

    spec: str
    sample: int = 0
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    system: str | None = None
    judge: str | None = None

    @property
    def key(self) -> str:
        """What it is called in a journal."""
        return f"{self.spec} {digest(to_json(list(self)))}"


class Panel(NamedTuple):
    """A pool as it is evaluated: under its name, with what is known of it beforehand."""

    name: str
    pool: Pool
    plan: Plan

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its members."""
        return labels(self.specs)

    @property
    def specs(self) -> tuple[str, ...]:
        """The models of its members, one for each sample."""
        return expand(self.pool.members)

    def voices(self, question: str) -> tuple[Voice, ...]:
        """Who is asked, in the order of its members."""
        in_parts = (
            self.pool.mode == "merge"
            and self.plan.judge.info.form == "compact"
            and len(split(question)) > 1
        )
        judge = self.plan.judge.spec if in_parts else None
        specs = self.specs
        return tuple(
            self.voice(spec, specs[:i].count(spec), specs.count(spec) > 1, judge)
            for i, spec in enumerate(specs)
        )

    def voice(self, spec: str, sample: int, repeated: bool, judge: str | None = None) -> Voice:
        """One sample of a model, as this pool would ask for it."""
        pool, temperature, seed = self.pool, self.pool.temperature, self.pool.seed
        if repeated and temperature is None:
            temperature = SELF_PANEL_TEMPERATURE
        return Voice(
            spec=spec,
            sample=sample,
            temperature=temperature,
            top_p=pool.top_p,
            max_tokens=pool.max_tokens,
            seed=None if seed is None else seed + sample,
            system=pool.system,
            judge=judge,
        )


class Asking:
    """The part of an evaluation that costs: what the journal holds already is not asked again.

    `spent` is in US dollars, what the journal holds included; calls of unknown price are left out,
    and counted in `unpriced`. A `table` answers instead of the models.
    """

    def __init__(self, journal: Journal, seed: int, table: Table | None = None) -> None:
        self._journal, self._seed, self.table = journal, seed, table
        self.spent, self.unpriced = Decimal(0), 0
        for answer in journal.answers.values():
            self._bill([answer])
        for result in journal.results.values():
            self._bill(result.judging)

    async def ask(
        self, question: Question, panel: Panel, voices: Sequence[Voice]
    ) -> tuple[Answer, ...]:
        """What each voice says to a question, under the names that they have side by side.

        Who fails is an answer with a failure.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._say(question, panel, voice)) for voice in voices]
        return tuple(
            msgspec.structs.replace(task.result(), member=name)
            for task, name in zip(tasks, labels(tuple(v.spec for v in voices)), strict=True)
        )

    async def fuse(
        self, question: Question, panel: Panel, answers: Sequence[Answer]
    ) -> FusionResult:
        """What the pool makes of answers that are there already."""
        if (found := self._journal.results.get((question.id, panel.name))) is not None:
            return found
        pool = panel.pool
        if pool.mode != "auto":  # all that was answered counts, although some could be spared
            pool = msgspec.structs.replace(pool, quorum=len(answers))
        chance = int(digest(str(self._seed), question.id, panel.name), 16)
        result = await self._result(question.text, pool, answers, chance)
        self._bill(result.judging)
        self._journal.keep_result(question.id, panel.name, result)
        return result

    async def _say(self, question: Question, panel: Panel, voice: Voice) -> Answer:
        if (found := self._journal.answers.get((question.id, voice.key))) is not None:
            return found
        alone = Pool(
            members=(voice.spec,),
            judge=voice.judge,
            mode="merge" if voice.judge else "best-of",
            temperature=voice.temperature,
            top_p=voice.top_p,
            max_tokens=voice.max_tokens,
            seed=voice.seed,
            system=voice.system,
            deadline_s=panel.pool.deadline_s,
            local_only=panel.pool.local_only,
        )
        # alone, so that nobody judges
        (answer,) = (await self._result(question.text, alone)).answers
        self._bill([answer])
        self._journal.keep_answer(question.id, voice.key, answer)
        return answer

    async def _result(
        self, prompt: str, pool: Pool, given: Sequence[Answer] = (), chance: int | None = None
    ) -> FusionResult:
        """What a run comes to; also that of a run which nobody answered.

        What was measured before stays out: it may have been measured on these very questions.
        """
        result: FusionResult | None = None
        asked = Request(prompt, pool, given=given)
        if self.table is None:
            run = stream(asked, entropy=chance)
        else:
            run = replayed(self.table, asked, entropy=chance)
        try:
            async with aclosing(run) as events:
                async for event in events:
                    if isinstance(event, RunFinished):
                        result = event.result
        except NoAnswerError as error:
            return error.result
        if result is None:
            raise NbfuseError("A run ended without a result.", "Please report this.")
        return result

    def _bill(self, calls: Sequence[Answer]) -> None:
        for call in calls:
            self.unpriced += call.cost is None
            self.spent += call.cost or 0
