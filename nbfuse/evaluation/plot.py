"""The arms of a pool by cost and accuracy, as a picture (matplotlib, where it is there)."""

from __future__ import annotations

import base64
import io

from nbfuse.core.clean import clean
from nbfuse.evaluation.results import FUSED, Arm, PoolReport

SIZE, DPI = (6.4, 3.6), 110  # inches; 700 pixels are as wide as a cell


def plot(report: PoolReport) -> str | None:
    """A PNG in base64; None without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for arm in report.arms:
        x, y = _cost(arm, report), 100 * arm.accuracy
        low, high = y - 100 * arm.low, 100 * arm.high - y
        own = arm.arm == FUSED
        axes.errorbar(
            [x], [y], yerr=[[max(0.0, low)], [max(0.0, high)]],
            fmt="D" if own else "o", color="black" if own else "gray", capsize=3,
        )  # fmt: skip
        # names are foreign text: "$" would begin a formula, which may be broken
        name = clean(arm.arm).replace("$", r"\$")
        axes.annotate(name, (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel(_axis(report))
    axes.set_ylabel("right, % (95 % interval)")
    axes.margins(x=0.2)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return base64.b64encode(drawn.getvalue()).decode()


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
