"""An evaluation as text, for terminals, and as Markdown."""

from __future__ import annotations

from decimal import Decimal

from nbfuse.core.clean import clean
from nbfuse.evaluation.evaluation import Evaluation
from nbfuse.evaluation.results import BEST_SINGLE, PLAIN_VOTE, SELF_PANEL, Arm, PoolReport
from nbfuse.evaluation.summary import points
from nbfuse.render.columns import aligned
from nbfuse.render.markdown import cell, flat, harmless
from nbfuse.render.table import price, seconds

HEADS = ("arm", "right", "95 %", "against best member", "p", "price each", "price", "p50", "p95")
WORDS = ("arm",)  # columns of words: the others are figures


def to_text(evaluation: Evaluation) -> str:
    """The report in aligned columns, the sentence last."""
    parts = []
    for report in evaluation.pools:
        lines = aligned([HEADS, *map(row, report.arms)])
        parts.append("\n".join([title(report), *lines, *facts(report)]))
    parts += ["\n".join(evaluation.notes)] if evaluation.notes else []
    return clean("\n\n".join([*parts, f"{evaluation.sentence}."]))


def to_markdown(evaluation: Evaluation) -> str:
    """The report with a table for each pool, the sentence first."""
    parts = [f"**{flat(evaluation.sentence)}.**"]
    for report in evaluation.pools:
        parts.append(flat(title(report)))
        table = [HEADS, ("---",) * len(HEADS), *map(row, report.arms)]
        parts.append("\n".join(f"| {' | '.join(map(cell, line))} |" for line in table))
        parts.append("\n".join(f"- {flat(fact)}" for fact in facts(report)))
    if evaluation.notes:
        parts.append("\n".join(f"- {flat(note)}" for note in evaluation.notes))
    return harmless("\n\n".join(parts))


def title(report: PoolReport) -> str:
    """Which pool it is, and how it was asked."""
    asked = report.arms[0].asked
    return (
        f"Pool {report.pool} ({report.mode}): {', '.join(report.members)}; judge {report.judge}. "
        f"{asked} question{'s' * (asked != 1)}."
    )


def row(arm: Arm) -> tuple[str, ...]:
    """An arm's figures as short strings."""
    versus = arm.versus
    return (
        arm.arm,
        f"{100 * arm.accuracy:.1f} %",
        f"{100 * arm.low:.0f} to {100 * arm.high:.0f}",
        points(versus) if versus is not None else "",
        f"{versus.p:.2g}" if versus is not None else "",
        _price(arm.mean_cost),
        _price(arm.total_cost),
        seconds(arm.p50_s) if arm.p50_s is not None else "?",
        seconds(arm.p95_s) if arm.p95_s is not None else "?",
    )


def _price(cost: Decimal | None) -> str:
    return f"${cost:.6f}" if cost and cost < Decimal("0.001") else price(cost)


def facts(report: PoolReport) -> list[str]:
    """What else one has to know of a pool, in sentences."""
    asked = report.arms[0].asked
    lines = [
        f"Fusing turned {_share(len(report.mended), asked)} from wrong to right and "
        f"{_share(len(report.broken), asked)} from right to wrong, against {report.best} alone.",
        f"The judge decided {_share(report.judged, asked)}.",
        f"Stopping early and agreeing save {report.spared} of {report.calls} calls.",
    ]
    if report.asked_twice:
        flips = f"{report.flips} of {report.asked_twice}"
        lines.append(f"Asked in both orders, the judge changed its verdict in {flips}.")
    named = [bias for bias in report.biases if bias.found]
    looked = [bias for bias in report.biases if not bias.found]
    lines += [f"The judge {bias}." for bias in named]
    if looked and not named:
        lines.append(f"No bias of the judge was found ({'; '.join(map(str, looked))}).")
    lines += [
        f"Best on all questions is {report.best}. Out of fold, as {BEST_SINGLE} and the anchor of "
        "the anchored vote are chosen, it is the pool's anchor unless another is better by a "
        f"standard error; against that fusing gains {points(report.out_of_fold)}.",
        *_self_panel(report),
        f"{PLAIN_VOTE} counts members alike; intervals of differences are bootstrapped over "
        "questions, p is McNemar's.",
    ]
    return [line[:1].upper() + line[1:] for line in lines]


def _self_panel(report: PoolReport) -> list[str]:
    if report.arm(SELF_PANEL) is None:
        return []
    return [f"{SELF_PANEL} is a vote of {report.samples} samples of {report.best}."]


def _share(count: int, asked: int) -> str:
    return f"{count} question{'s' * (count != 1)} ({100 * count / asked:.1f} %)"
