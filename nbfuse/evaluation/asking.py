"""Asks each question of each voice once, and fuses the same answers in every pool.

This is all of the evaluation that runs models. A voice is a model as a pool asks it: pools that
share one share its answers, so that they are compared on the very same ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec

from nbfuse.core.errors import NbfuseError, NoAnswerError
from nbfuse.core.events import RunFinished
from nbfuse.core.pool import Pool, labels
from nbfuse.core.request import Request
from nbfuse.core.types import Answer, FusionResult
from nbfuse.evaluation.questions import Question, digest
from nbfuse.evaluation.voices import Panel, Voice
from nbfuse.fusion.engine import stream
from nbfuse.replay import Source, recorded_into, replayed


class Store(Protocol):
    """Where answers are kept, and what is there is not asked for again."""

    def answer(self, question: Question, voice: Voice) -> Answer | None:
        """What a voice has said already."""
        ...

    def result(self, question: Question, pool: str) -> FusionResult | None:
        """What a pool has come to already."""
        ...

    def keep_answer(self, question: Question, voice: Voice, answer: Answer) -> None:
        """Note what a voice said."""
        ...

    def keep_result(self, question: Question, pool: str, result: FusionResult) -> None:
        """Note what a pool came to."""
        ...

    def paid(self) -> Iterable[Answer]:
        """Calls that count as spent from the beginning."""
        ...


class Asking:
    """The part of an evaluation that costs: what the store holds already is not asked again.

    `spent` is in US dollars, what the store counts as paid included; calls of unknown price are
    left out, and counted in `unpriced`. A `source` answers instead of the models; what they say is
    appended to `record`.
    """

    def __init__(
        self,
        store: Store,
        seed: int,
        source: Source | None = None,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        self._store, self._seed, self.source, self._record = store, seed, source, record
        self.spent, self.unpriced = Decimal(0), 0
        self._bill(store.paid())

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
        if (found := self._store.result(question, panel.name)) is not None:
            return found
        pool = panel.pool
        if pool.mode != "auto":  # all that was answered counts, although some could be spared
            pool = msgspec.structs.replace(pool, quorum=len(answers))
        chance = int(digest(str(self._seed), question.id, panel.name), 16)
        result = await self._run(Request(question.text, pool, given=answers), chance)
        self._bill(result.judging)
        self._store.keep_result(question, panel.name, result)
        return result

    async def _say(self, question: Question, panel: Panel, voice: Voice) -> Answer:
        if (found := self._store.answer(question, voice)) is not None:
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
        (answer,) = (await self._run(Request(question.text, alone))).answers
        self._bill([answer])
        self._store.keep_answer(question, voice, answer)
        return answer

    async def put(self, name: str, request: Request) -> FusionResult:
        """What comes of any further request, which is kept under the name of a pool."""
        told = (request.prompt, *(answer.text for answer in request.given))
        question = Question(id=digest(*told), text="\x00".join(told))
        if (found := self._store.result(question, name)) is not None:
            return found
        chance = int(digest(str(self._seed), question.id, name), 16)
        result = await self._run(request, chance)
        self._bill(result.calls)
        self._store.keep_result(question, name, result)
        return result

    async def _run(self, request: Request, chance: int | None = None) -> FusionResult:
        """What a run comes to; also that of a run which nobody answered.

        What was measured before stays out: it may have been measured on these very questions.
        """
        result: FusionResult | None = None
        if self.source is not None and self.source.answers(request.pool):
            run = replayed(self.source, request, entropy=chance)
        elif self._record is not None:
            run = recorded_into(Path(self._record), request)
        else:
            run = stream(request, entropy=chance)
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

    def _bill(self, calls: Iterable[Answer]) -> None:
        for call in calls:
            self.unpriced += call.cost is None
            self.spent += call.cost or 0
