"""Sums up a pool's outcomes: accuracy, cost, latency, what fusing mended and broke; a sentence."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from decimal import Decimal

from nbfuse.core.measured import Measured, Share
from nbfuse.evaluation import biases
from nbfuse.evaluation.arms import Choices
from nbfuse.evaluation.grading import RIGHT
from nbfuse.evaluation.notes import unheard
from nbfuse.evaluation.results import BEST_SINGLE, FUSED, GUARDED, Arm, Outcome, PoolReport
from nbfuse.evaluation.savings import class_of, spared
from nbfuse.evaluation.statistics import LEVEL, Difference, paired, percentile, wilson
from nbfuse.evaluation.voices import Panel
from nbfuse.evaluation.votes import Case, measured_members, record


def pool_report(
    panel: Panel,
    cases: Sequence[Case],
    choices: Choices,
    samples: int,
    outcomes: Sequence[Outcome],
    among: int,
) -> PoolReport:
    """How a pool did, being one of `among` that are evaluated on these questions."""
    by_arm: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_arm.setdefault(outcome.arm, []).append(outcome)
    marks = {arm: {o.question: o.mark or 0.0 for o in those} for arm, those in by_arm.items()}
    fused, single = marks[FUSED], marks[choices.overall]
    arms = tuple(
        _arm(arm, those, marks[arm], marks[choices.overall] if arm != choices.overall else None,
             choices.seed)
        for arm, those in by_arm.items()
    )  # fmt: skip
    out_of_fold = paired(list(fused.values()), list(marks[BEST_SINGLE].values()), choices.seed)
    verdicts = [case.result.verdict for case in cases]
    anchor = panel.plan.anchor.label
    return PoolReport(
        pool=panel.name,
        members=panel.labels,
        specs=panel.specs,
        judge=panel.plan.judge.spec,
        mode=panel.pool.mode,
        best=choices.overall,
        out_of_fold=out_of_fold,
        samples=samples,
        arms=arms,
        broken=tuple(q for q in fused if fused[q] < RIGHT <= single[q]),
        mended=tuple(q for q in fused if single[q] < RIGHT <= fused[q]),
        judged=sum(case.judged for case in cases),
        spared=spared(panel.pool, cases, anchor),
        calls=sum(len(case.answers) + len(case.result.judging) for case in cases),
        flips=sum(verdict.flips for verdict in verdicts),
        asked_twice=sum(verdict.asked_twice for verdict in verdicts),
        biases=biases.find(cases),
        measured=_measured(panel, cases, choices, marks[GUARDED]),
        sentence=_unheard(panel, cases, among)
        or sentence(arms, choices.overall, out_of_fold, panel.name if among > 1 else "", among),
    )


def _unheard(panel: Panel, cases: Sequence[Case], among: int) -> str:
    """What is said in place of a verdict where the judge was hardly heard."""
    asked = [case.result for case in cases if case.result.judging]
    lost = sum(unheard(result) is not None for result in asked)
    if 2 * lost <= len(asked):
        return ""
    named = f"fusion with {panel.name}" if among > 1 else "fusion"
    return (
        f"No verdict on {named}: the judge {panel.plan.judge.label} was not heard on {lost} of the "
        f"{len(asked)} questions that it was asked"
    )


def _arm(
    arm: str,
    those: Sequence[Outcome],
    mine: Mapping[str, float],
    best: Mapping[str, float] | None,
    seed: int,
) -> Arm:
    low, high = wilson(sum(mine.values()), len(mine))
    costs = [outcome.cost for outcome in those]
    known = [cost for cost in costs if cost is not None]
    total = sum(known, Decimal(0)) if len(known) == len(costs) else None
    times = [outcome.seconds for outcome in those]
    return Arm(
        arm=arm,
        asked=len(mine),
        accuracy=statistics.fmean(mine.values()),
        low=low,
        high=high,
        versus=None if best is None else paired(list(mine.values()), list(best.values()), seed),
        mean_cost=None if total is None else total / len(those),
        total_cost=total,
        p50_s=percentile(times, 0.5),
        p95_s=percentile(times, 0.95),
        mean_calls=statistics.fmean(outcome.calls for outcome in those),
    )


def sentence(
    arms: Sequence[Arm], best: str, out_of_fold: Difference, pool: str = "", among: int = 1
) -> str:
    """What the evaluation comes to; `pool` is named where there are several (`among`).

    Fusion is compared with the member that did best on all questions, which flatters that member,
    and with the one chosen out of fold, which flatters fusion where members are alike; what is
    claimed has to hold for both, and the smaller of the two is said. A difference counts where its
    interval leaves out zero and McNemar's exact test agrees: with few questions the bootstrap's
    interval is too narrow. Of several pools each has to pass a stricter test (Bonferroni), since
    the luckiest would be looked at.
    """
    found = {arm.arm: arm for arm in arms}
    fused, single = found[FUSED], found[best]
    assert fused.versus is not None
    both = (fused.versus, out_of_fold)
    least = min(both, key=lambda versus: abs(versus.mean))
    sure = all(versus.p < (1 - LEVEL) / among for versus in both)
    if sure and all(versus.low > 0 for versus in both):
        named = f"Fusion with {pool}" if pool else "Fusion"
        return f"{named} beats your best single model by {points(least)}{_price(fused, single)}"
    if sure and all(versus.high < 0 for versus in both):
        named = f"Fusion with {pool}" if pool else "Fusion"
        return f"{named} is worse here by {points(least, -1)}: use {best} alone"
    named = f"fusion with {pool}" if pool else "fusion"
    return f"No evidence that {named} helps here: use {best} alone"


def verdict_of(reports: Sequence[PoolReport]) -> str:
    """The sentence of the pool that fused best; each one's own stands in its report."""

    def accuracy(report: PoolReport) -> float:
        arm = report.arm(FUSED)
        return arm.accuracy if arm is not None else 0.0

    return max(reports, key=accuracy).sentence if reports else "Nothing could be compared"


def points(versus: Difference, sign: int = 1) -> str:
    """A difference in percentage points, with its interval."""
    ends = sorted((sign * versus.low, sign * versus.high))
    low, high = (f"{_round(100 * end):.1f}" for end in ends)
    return f"{_round(100 * sign * versus.mean):.1f} points (95 % {low} to {high})"


def _round(value: float) -> float:
    return round(value, 1) + 0.0  # no -0.0


def _price(fused: Arm, single: Arm) -> str:
    if fused.mean_cost and single.mean_cost:
        return f" at {fused.mean_cost / single.mean_cost:.1f} × its cost"
    if fused.p50_s and single.p50_s:
        return f" at {fused.p50_s / single.p50_s:.1f} × its time"
    return ""


def _measured(
    panel: Panel, cases: Sequence[Case], choices: Choices, guarded: Mapping[str, float]
) -> Measured:
    """The shares that a run reads; of several samples of one model the first counts.

    Classes of agreement are measured on what a run comes to that knows the rest: the guarded arm.
    """
    anchor = panel.plan.anchor.label
    members = measured_members(cases, panel.labels, anchor)
    models: dict[str, Share] = {}
    for label, spec in zip(panel.labels, panel.specs, strict=True):
        models.setdefault(spec, members.models[label])
    classes: dict[str, Share] = {}
    for case in cases:
        found = class_of(case, panel.pool, anchor)
        if found is not None:
            before = classes.get(found, Share(0, 0))
            right = guarded[case.question.id] >= RIGHT
            classes[found] = Share(before.right + right, before.asked + 1)
    judge = record(cases, panel.pool.answer, choices.best, choices.weights, choices.seed)
    judges = {panel.plan.judge.spec: judge} if judge.asked else {}
    spec_of = dict(zip(panel.labels, panel.specs, strict=True))
    alone = {spec_of[label]: record for label, record in members.alone.items()}
    return Measured(models, classes, judges, members.weighing, alone)
