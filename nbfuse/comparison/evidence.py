"""What was measured of contenders on the same questions: figures, pairs, and worst cases first."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from nbfuse.comparison.samples import Sample
from nbfuse.core.types import Answer
from nbfuse.evaluation.grading import kind_of
from nbfuse.evaluation.questions import Question
from nbfuse.evaluation.statistics import Difference, paired, percentile, wilson
from nbfuse.fusion.agreement import compare


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One contender over all questions.

    `accuracy` over the `graded` questions has Wilson's interval, and is None without references; a
    question that it failed on counts as wrong. Times are those of answers that came. `cost` is what
    an answered question costs in US dollars, failed calls included; None where that is not known,
    as for `unpriced` questions, or nothing was answered. `overhead` and `slowdown` are what a
    question costs and takes for each dollar and second of one call.
    """

    contender: str
    asked: int
    failed: int
    why: str = ""
    graded: int = 0
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    mean_s: float | None = None
    tokens: float = 0.0
    calls: float = 0.0
    cost: Decimal | None = None
    unpriced: int = 0
    overhead: float | None = None
    slowdown: float | None = None


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """Two contenders on the questions that both were asked.

    `agree` is on how many of the `comparable` questions, which both answered, they say the same;
    of `by_words` that is known by their words alone. `accuracy` is how much higher `one` is, None
    without references.
    """

    one: str
    other: str
    agree: int
    comparable: int
    by_words: int = 0
    accuracy: Difference | None = None


def figures(contender: str, samples: Sequence[Sample]) -> Figures:
    """What the samples of one contender come to."""
    answered = [one for one in samples if not one.failed]
    marks = [one.mark for one in samples if one.mark is not None]
    low, high = wilson(sum(marks), len(marks)) if marks else (None, None)
    costs = [one.cost for one in samples]
    known = [cost for cost in costs if cost is not None]
    total, times = sum(known, Decimal(0)), [one.seconds for one in answered]
    singles = [(o.cost, o.one_cost) for o in answered if o.cost is not None and o.one_cost]
    return Figures(
        contender=contender,
        asked=len(samples),
        failed=len(samples) - len(answered),
        why=next((one.failure for one in samples if one.failed), ""),
        graded=len(marks),
        accuracy=statistics.fmean(marks) if marks else None,
        low=low,
        high=high,
        p50_s=percentile(times, 0.5),
        p95_s=percentile(times, 0.95),
        mean_s=statistics.fmean(times) if times else None,
        tokens=statistics.fmean(one.tokens for one in samples) if samples else 0.0,
        calls=statistics.fmean(one.calls for one in samples) if samples else 0.0,
        cost=total / len(answered) if answered and len(known) == len(costs) else None,
        unpriced=len(samples) - len(known),
        overhead=_ratio([(float(a), float(b)) for a, b in singles if b is not None]),
        slowdown=_ratio([(o.seconds, o.one_seconds) for o in answered if o.one_seconds > 0]),
    )


def versus(
    samples: Mapping[str, Sequence[Sample]],
    questions: Sequence[Question],
    seed: int = 0,
) -> tuple[Versus, ...]:
    """Every two contenders, on the questions that both were asked."""
    made = []
    for one, other in itertools.combinations(samples, 2):
        mine = {sample.question: sample for sample in samples[one]}
        its = {sample.question: sample for sample in samples[other]}
        both = [question for question in questions if question.id in mine and question.id in its]
        answered = [q for q in both if not (mine[q.id].failed or its[q.id].failed)]
        found = [_same(q, mine[q.id], its[q.id]) for q in answered]
        marked = [q.id for q in both if mine[q.id].mark is not None and its[q.id].mark is not None]
        made.append(
            Versus(
                one=one,
                other=other,
                agree=sum(same for same, _ in found),
                comparable=len(found),
                by_words=sum(words for _, words in found),
                accuracy=paired(
                    [mine[q].mark or 0.0 for q in marked],
                    [its[q].mark or 0.0 for q in marked],
                    seed,
                )
                if marked
                else None,
            )
        )
    return tuple(made)


def worst_first(
    questions: Sequence[Question], samples: Mapping[str, Sequence[Sample]]
) -> list[Question]:
    """The questions that tell most first: failures, then errors, then answers that differ."""
    by_question: dict[str, list[Sample]] = {question.id: [] for question in questions}
    for those in samples.values():
        for one in those:
            by_question[one.question].append(one)

    def rank(question: Question) -> tuple[float, float, float]:
        those = by_question[question.id]
        marks = [one.mark for one in those if one.mark is not None]
        distinct = len({" ".join(one.text.split()) for one in those})
        wrong = sum(1 - mark for mark in marks)
        return -sum(one.failed for one in those), -wrong, -distinct

    return sorted(questions, key=rank)


def _ratio(pairs: Sequence[tuple[float, float]]) -> float | None:
    whole, single = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    return whole / single if single else None


def _same(question: Question, one: Sample, other: Sample) -> tuple[bool, bool]:
    """Whether two answers say the same, and whether that could be told by their words alone."""
    both = [
        Answer(member=name, spec="", text=sample.text)
        for name, sample in (("one", one), ("other", other))
    ]
    kind = kind_of(question, None) if question.reference else question.kind
    found = compare(both, kind, "", question.text)
    if found is not None and found.countable:
        return found.unanimous, False
    return one.text.split() == other.text.split(), True
