"""The arms of a pool by cost and accuracy, as a picture (matplotlib, where it is there)."""

from __future__ import annotations

import base64
import io

from nbfuse.core.clean import clean
from nbfuse.evaluation.results import FUSED, Arm, PoolReport

SIZE, DPI = (6.4, 3.6), 110  # inches; 700 pixels are as wide as a cell
LINE, NEAR = 0.055, 0.12  # of the picture's height and width, that a name takes


def plot(report: PoolReport) -> str | None:
    """A PNG in base64; None without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return None
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for arm in reversed(report.arms):  # what was fused comes first in the report, and on top here
        x, y = _cost(arm, report), 100 * arm.accuracy
        low, high = y - 100 * arm.low, 100 * arm.high - y
        own = arm.arm == FUSED
        axes.errorbar(
            [x], [y], yerr=[[max(0.0, low)], [max(0.0, high)]],
            fmt="D" if own else "o", color="black" if own else "gray", capsize=3,
        )  # fmt: skip
    for name, x, y in _names(report):
        axes.annotate(name, (x, y), xytext=(7, 0), textcoords="offset points", fontsize=8,
                      verticalalignment="center")  # fmt: skip
    axes.set_xlabel(_axis(report))
    axes.set_ylabel("right, % (95 % interval)")
    axes.margins(x=0.2, y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    if not _is_priced(report):  # there are no half calls
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return base64.b64encode(drawn.getvalue()).decode()


def _names(report: PoolReport) -> list[tuple[str, float, float]]:
    """The names of the arms with their places, moved up where they would cover each other."""
    gap = LINE * 100 * (max(a.high for a in report.arms) - min(a.low for a in report.arms))
    width = NEAR * max(_cost(arm, report) for arm in report.arms)
    placed: list[tuple[str, float, float]] = []
    for arm in sorted(report.arms, key=lambda arm: arm.accuracy):
        x, y = _cost(arm, report), 100 * arm.accuracy
        for _, other, there in placed:  # these lie lower, or were moved up already
            if abs(other - x) <= width and abs(there - y) < gap:
                y = there + gap
        # names are foreign text: "$" would begin a formula, which may be broken
        placed.append((clean(arm.arm).replace("$", r"\$"), x, y))
    return placed


def described(report: PoolReport) -> str:
    """What the plot shows, for whoever can't see it."""
    points = "; ".join(
        f"{arm.arm} {100 * arm.accuracy:.1f} % at {_cost(arm, report):.4g}" for arm in report.arms
    )
    return f"Share of right answers against {_axis(report)}: {points}."


def _is_priced(report: PoolReport) -> bool:
    """Whether money tells the arms apart: local models cost none, some prices are not known."""
    costs = [arm.mean_cost for arm in report.arms]
    return None not in costs and any(costs)


def _cost(arm: Arm, report: PoolReport) -> float:
    return float(arm.mean_cost or 0) if _is_priced(report) else arm.mean_calls


def _axis(report: PoolReport) -> str:
    return "US dollars a question" if _is_priced(report) else "calls a question"
