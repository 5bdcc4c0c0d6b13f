"""A comparison in progress: asks everybody everything, then the reviewers, and sums up."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from nbfuse._version import __version__
from nbfuse.comparison.apart import apart
from nbfuse.comparison.compact_review import NAME, compact_review
from nbfuse.comparison.comparison import Comparison, Side
from nbfuse.comparison.contenders import Contender, same_twice
from nbfuse.comparison.decision import Decision, decide
from nbfuse.comparison.dossier import (
    Dossier,
    are_enough,
    condense,
    control,
    exhibit,
    folds,
    shown_answers,
)
from nbfuse.comparison.evidence import Figures, figures, versus, worst_first
from nbfuse.comparison.job import Job
from nbfuse.comparison.kept import Kept
from nbfuse.comparison.models import category, licences, one_line
from nbfuse.comparison.notes import SPENT, budget_notes, call_notes, failure_notes, reading_notes
from nbfuse.comparison.pricing import pricing
from nbfuse.comparison.review import called, review
from nbfuse.comparison.reviewers import Reviewer
from nbfuse.comparison.samples import Sample, sample_of
from nbfuse.comparison.split import counting, splits
from nbfuse.comparison.take import Reviewed, Take, untaken
from nbfuse.comparison.tally import Count, tally
from nbfuse.core.ballot import Ballot
from nbfuse.core.errors import NoAnswerError, no_answer
from nbfuse.core.stamp import now
from nbfuse.core.types import FusionResult, Price
from nbfuse.evaluation.asking import Asking
from nbfuse.evaluation.grading import Marks
from nbfuse.evaluation.notes import grader_notes
from nbfuse.evaluation.progress import Step
from nbfuse.evaluation.questions import Question, digest
from nbfuse.evaluation.work import FRUITLESS, each, unanswered

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
        dossiers = self._dossiers() if self._questions else []
        return self._found(await self._review(dossiers), dossiers, over=True)

    async def _ask(self, question: Question) -> None:
        if self._is_spent():
            return
        last: FusionResult | None = None
        # in an order of its own, so that nobody is always the one who waits for the other
        turns = list(self._job.contenders)
        random.Random(digest(str(self._job.seed), question.id)).shuffle(turns)
        for contender in turns:
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
            why = {n: next(iter(those.values())).failure for n, those in self._samples.items()}
            told = " ".join(f"{name}: {words}" for name, words in why.items())
            hint = no_answer(last.answers, last).hint
            raise NoAnswerError(
                f"No contender answered {unanswered(self._done)}. {told}", hint, last
            )

    def _is_spent(self) -> bool:
        return self._limit is not None and self._asking.spent >= self._limit

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(self._found([], [], over=False))

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

    def _dossiers(self) -> list[Dossier]:
        """What each reviewer gets to read; a judge that reads one answer at a time, all of it."""
        job, questions, samples = self._job, self._questions, self._by_name()
        names = [question.id for question in questions]
        said = {name: shown_answers(samples[name], questions) for name in samples}
        ranked = worst_first(questions, samples)
        if job.compact:
            parts = [(tuple(ranked), True)]
        else:
            reads = ["answers" in one.sees for one in job.reviewers]
            parts = list(zip(folds(ranked, len(job.reviewers)), reads, strict=True))
        made = []
        for fold, reading in parts:
            inside = {question.id for question in fold}
            own = {n: [s for s in those if s.question in inside] for n, those in samples.items()}
            counted = [figures(name, those) for name, those in own.items()]
            exhibits = [
                exhibit(one, job.facts[one.contender], said[one.contender]) for one in counted
            ]
            models = job.facts[counted[0].contender]
            exhibits.append(control(counted[0], models, list(said.values()), names, reading))
            made.append(condense(exhibits, fold, job.room, job.seed))
        return made

    async def _review(self, dossiers: Sequence[Dossier]) -> list[Reviewed]:
        job, done = self._job, 0
        pools, names = job.review_pools, [one.name for one in job.contenders]
        if not dossiers or job.judge.info.form == "none":
            return []
        if job.compact:
            (whole,) = dossiers
            return await compact_review(self._asking, pools[NAME], list(job.reviewers), whole)
        made: dict[str, Reviewed] = {}

        async def one(both: tuple[Reviewer, Dossier]) -> None:
            nonlocal done
            who, dossier = both
            if self._is_spent():
                made[who.name] = untaken(who.name, names, SPENT)
                return
            made[who.name] = await review(
                self._asking, pools[called(who.name)], who, dossier, job.seed
            )
            done += 1
            self._step("reviewers", done, len(job.reviewers))

        work = list(zip(job.reviewers, dossiers, strict=True))
        self._step("reviewers", 0, len(work))
        await each(work, 1 if self._limit is not None else len(work), one)
        return [made[who.name] for who in job.reviewers]

    def _found(
        self, reviewed: Sequence[Reviewed], dossiers: Sequence[Dossier], over: bool
    ) -> Comparison:
        job, questions, samples = self._job, self._questions, self._by_name()
        counted = {name: figures(name, those) for name, those in samples.items()}
        takes = [take for one in reviewed for take in one.takes]
        biases = [bias for one in reviewed for bias in one.biases]
        counting_takes = counting(takes, biases)
        split = splits(counting_takes, list(samples))
        pairs = list(itertools.combinations(samples, 2)) if over else []
        pairs_counted = versus(samples, questions, job.seed) if over else ()
        told = tuple(apart(a, b, samples, job.facts, len(pairs)) for a, b in pairs)
        decision = Decision(sentence=f"{UNDER_WAY}: {self._done} of {len(job.asked)} questions.")
        if over:
            own = job.compact or are_enough(len(questions), len(job.reviewers))
            decision = decide(counting_takes, split, told, pairs_counted, own)
            if not questions:
                decision = Decision(sentence="Nothing was asked: there is no verdict.")
        return Comparison(
            sides=tuple(self._side(one) for one in job.contenders),
            questions=tuple(worst_first(questions, samples)),
            samples=tuple(sample for those in samples.values() for sample in those),
            figures=tuple(counted.values()),
            versus=pairs_counted,
            apart=told,
            pricing=tuple(
                pricing(one, job.facts[one.name], counted[one.name], job.monthly)
                for one in job.contenders
            ),
            reviewers={one.name: one.interest for one in job.reviewers},
            reviewed_by=job.judge.spec,
            marks_only=job.judge.info.form == "compact",
            takes=tuple(takes),
            biases=tuple(biases),
            splits=split,
            decision=decision,
            votes=self._votes(),
            notes=tuple(self._notes(counted, takes, dossiers) if over else job.notes),
            estimate=self._price,
            spent=self._asking.spent if not self._asking.unpriced else None,
            reused=self._kept.reused,
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

    def _notes(
        self, counted: Mapping[str, Figures], takes: Sequence[Take], dossiers: Sequence[Dossier]
    ) -> list[str]:
        job, asked = self._job, len(self._questions)
        wanted, many = len(job.asked), len(job.reviewers)
        return [
            *job.notes,
            *same_twice(job.contenders),
            *call_notes(self._kept, self._asking.spent, self._asking.unpriced),
            *budget_notes(self._limit, asked, wanted, takes, many),
            *grader_notes(self._marks.troubles, asked),
            *failure_notes(counted.values()),
            *(reading_notes(job, dossiers, asked) if dossiers else []),
        ]
