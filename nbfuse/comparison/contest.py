"""A comparison in progress: asks everybody everything, then the reviewers, and sums up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from nbfuse._version import __version__
from nbfuse.comparison.apart import apart
from nbfuse.comparison.compact_review import NAME, compact_review
from nbfuse.comparison.comparison import Comparison, Side
from nbfuse.comparison.contenders import Contender, same_twice
from nbfuse.comparison.decision import Decision, decide
from nbfuse.comparison.dossier import Dossier, condense, control, exhibit
from nbfuse.comparison.evidence import Figures, figures, versus, worst_first
from nbfuse.comparison.job import Job
from nbfuse.comparison.kept import Kept
from nbfuse.comparison.models import category, licences, one_line
from nbfuse.comparison.pricing import pricing
from nbfuse.comparison.review import called, review
from nbfuse.comparison.samples import Sample, sample_of
from nbfuse.comparison.split import counting, splits
from nbfuse.comparison.take import Bias, Reviewed
from nbfuse.comparison.tally import Count, tally
from nbfuse.core.ballot import Ballot
from nbfuse.core.errors import NoAnswerError, no_answer
from nbfuse.core.stamp import now
from nbfuse.core.types import FusionResult, Price
from nbfuse.evaluation.asking import Asking
from nbfuse.evaluation.grading import Marks
from nbfuse.evaluation.notes import grader_notes
from nbfuse.evaluation.progress import Step
from nbfuse.evaluation.questions import Question
from nbfuse.evaluation.work import FRUITLESS, each

UNDER_WAY = "Under way"


class Contest:
    """All that changes during a comparison; `watch` is told of each answer that came."""

    def __init__(
        self,
        job: Job,
        asking: Asking,
        kept: Kept,
        ballots: Sequence[Ballot],
        price: Price,
        limit: Decimal | None,
        step: Step,
        watch: Callable[[Comparison], None] | None = None,
    ) -> None:
        self._job, self._asking, self._kept, self._limit = job, asking, kept, limit
        self._ballots, self._price, self._step, self._watch = ballots, price, step, watch
        graded = [one for one in job.asked if job.grade is not None or one.question.reference]
        self._graded = {one.question.id for one in graded}
        self._marks = Marks(graded, job.grade, None)
        self._samples: dict[str, dict[str, Sample]] = {one.name: {} for one in job.contenders}
        self._done = 0
        self._begun = now()

    async def run(self, concurrency: int) -> Comparison:
        """Ask everything, have it reviewed, and say what it comes to."""
        self._tell()
        await each([one.question for one in self._job.asked], concurrency, self._ask)
        if self._is_spent():
            reviewed: list[Reviewed] = []
        else:
            reviewed = await self._review()
        return self._found(reviewed, over=True)

    async def _ask(self, question: Question) -> None:
        if self._is_spent():
            return
        last: FusionResult | None = None
        for contender in self._job.contenders:
            last = await self._fused(question, contender)
            panel = self._job.panels.get(contender.name)
            sample = sample_of(contender, question, panel, last)
            if question.id in self._graded:
                await self._marks.grade(question.id, [sample.text])
                mark = self._marks.of(question.id, sample.text)
                sample = msgspec.structs.replace(sample, mark=mark)
            self._samples[contender.name][question.id] = sample
        self._done += 1
        self._step("questions", self._done, len(self._job.asked))
        self._tell()
        if last is not None and self._done >= min(FRUITLESS, len(self._job.asked)):
            self._check_fruit(last)

    async def _fused(self, question: Question, contender: Contender) -> FusionResult:
        if contender.result is not None:
            return contender.result
        panel = self._job.panels[contender.name]
        if (whole := self._kept.result(question, contender.name)) is not None:
            return whole
        answers = await self._asking.ask(question, panel, panel.voices(question.text))
        return await self._asking.fuse(question, panel, answers)

    def _check_fruit(self, last: FusionResult) -> None:
        """Raise `NoAnswerError` where nobody has said anything: there is no key, or no server."""
        if all(one.failed for those in self._samples.values() for one in those.values()):
            reasons = no_answer(last.answers, last)
            many = f"any of the first {self._done} questions" if self._done > 1 else "the question"
            raise NoAnswerError(f"No contender answered {many}.", reasons.hint, last)

    def _is_spent(self) -> bool:
        return self._limit is not None and self._asking.spent >= self._limit

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(self._found([], over=False))

    # what follows sums up

    @property
    def _questions(self) -> list[Question]:
        """Those that everybody was asked, in the order of the table."""
        asked = [one.question for one in self._job.asked]
        return [q for q in asked if all(q.id in those for those in self._samples.values())]

    def _by_name(self) -> dict[str, list[Sample]]:
        questions = self._questions
        return {
            name: [those[question.id] for question in questions]
            for name, those in self._samples.items()
        }

    def _figures(self, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Figures]:
        return {name: figures(name, those) for name, those in samples.items()}

    def dossier(self) -> Dossier:
        """What reviewers get to read."""
        job, questions, samples = self._job, self._questions, self._by_name()
        counted = self._figures(samples)
        exhibits = [
            exhibit(counted[name], job.facts[name], samples[name], questions) for name in samples
        ]
        exhibits.append(control(exhibits, questions))
        return condense(exhibits, worst_first(questions, samples), job.room, job.seed)

    async def _review(self) -> list[Reviewed]:
        job, dossier, done = self._job, self.dossier(), 0
        pools = job.review_pools
        if job.judge.info.form == "none":
            return []
        if job.compact:
            return await compact_review(self._asking, pools[NAME], list(job.reviewers), dossier)

        async def one(number: int) -> Reviewed:
            nonlocal done
            who = job.reviewers[number]
            found = await review(self._asking, pools[called(who.name)], who, dossier, job.seed)
            done += 1
            self._step("reviewers", done, len(job.reviewers))
            return found

        self._step("reviewers", 0, len(job.reviewers))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(i)) for i in range(len(job.reviewers))]
        return [task.result() for task in tasks]

    def _found(self, reviewed: Sequence[Reviewed], over: bool) -> Comparison:
        job, questions, samples = self._job, self._questions, self._by_name()
        counted = self._figures(samples)
        takes = [take for one in reviewed for take in one.takes]
        biases = [bias for one in reviewed for bias in one.biases]
        counting_takes = counting(takes, biases)
        split = splits(counting_takes, list(samples))
        biased = {bias.reviewer for bias in biases}
        best = [
            best
            for one in reviewed
            if one.takes and one.takes[0].reviewer not in biased
            for best in one.best
        ]
        pairs = list(itertools.combinations(samples, 2))
        pairs_counted = versus(samples, questions, job.seed) if over else ()
        told = tuple(
            apart(a, b, samples, job.facts, _preferred(best, a, b), len(pairs)) for a, b in pairs
        )
        decision = Decision(sentence=f"{UNDER_WAY}: {self._done} of {len(job.asked)} questions.")
        if over:
            decision = decide(counting_takes, split, told, pairs_counted)
            if not questions:
                decision = Decision(sentence="Nothing was asked: there is no verdict.")
        return Comparison(
            sides=tuple(self._side(one) for one in job.contenders),
            questions=tuple(worst_first(questions, samples)),
            samples=tuple(sample for those in samples.values() for sample in those),
            figures=tuple(counted.values()),
            versus=pairs_counted,
            apart=told if over else (),
            pricing=tuple(
                pricing(one, job.facts[one.name], counted[one.name], job.monthly)
                for one in job.contenders
            ),
            reviewers={one.name: one.interest for one in job.reviewers},
            reviewed_by=job.judge.spec,
            marks_only=job.compact,
            takes=tuple(takes),
            biases=tuple(biases),
            splits=split,
            decision=decision,
            votes=self._votes(),
            notes=tuple(self._notes(biases) if over else job.notes),
            estimate=self._price,
            spent=self._asking.spent,
            reused=self._kept.reused,
            asked=len(job.asked),
            started_at=self._begun,
            version=__version__,
        )

    def _side(self, contender: Contender) -> Side:
        models = self._job.facts[contender.name]
        return Side(
            name=contender.name,
            kind=contender.kind,
            line=one_line(contender),
            licence=licences(models),
            category=category(contender, models),
            models=models,
        )

    def _votes(self) -> tuple[Count, ...]:
        names = [one.name for one in self._job.contenders]
        mine = [b for b in self._ballots if b.contender in names or b.other in names]
        return tuple(one for one in tally(mine) if one.contender in names)

    def _notes(self, biases: Sequence[Bias]) -> list[str]:
        job, asked = self._job, self._questions
        notes = [*job.notes, *same_twice(job.contenders)]
        if self._kept.reused:
            notes.append(
                f"{self._kept.reused} of {self._kept.reused + self._kept.bought} calls had been "
                "paid for before and were used again."
            )
        if len(asked) < len(job.asked):
            notes.append(
                f"The budget of ${self._limit} is spent: {len(job.asked) - len(asked)} of "
                f"{len(job.asked)} questions were not asked, and nobody reviewed."
            )
        elif self._is_spent():
            notes.append(f"The budget of ${self._limit} is spent: nobody reviewed.")
        if self._asking.unpriced:
            notes.append(
                f"The price of {self._asking.unpriced} calls is not known; it is not in what was "
                "spent."
            )
        notes += grader_notes(self._marks.troubles, len(asked))
        for one in self._figures(self._by_name()).values():
            if one.failed:
                notes.append(
                    f"{one.contender} failed on {one.failed} of {one.asked} questions, which count "
                    f"as wrong and are in no mean of times: {one.why}"
                )
        if job.compact:
            notes.append(
                f"{job.judge.label} is too small to write reviews: there are marks alone, from how "
                "probable it finds answers right, and no paragraphs."
            )
        elif asked and not self._is_spent() and (lacks := self.dossier().lacks):
            notes.append(lacks)
        notes += [f"{one.reviewer} does not decide: {one.found}." for one in biases]
        notes += [self._kept.trouble] if self._kept.trouble else []
        return notes


def _preferred(best: Sequence[Mapping[str, str]], one: str, other: str) -> dict[str, float]:
    """By question, how much more often the answer of `one` was found best than that of `other`."""
    names: dict[str, list[int]] = {}
    for reading in best:
        for question, name in reading.items():
            names.setdefault(question, []).append((name == one) - (name == other))
    return {question: sum(signs) / len(best) for question, signs in names.items()}
