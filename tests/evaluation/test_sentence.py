"""What an evaluation says in the end: each form of the sentence, and when it is said."""

from __future__ import annotations

from decimal import Decimal

from nbfuse.evaluation.results import FUSED, Arm
from nbfuse.evaluation.statistics import Difference, paired
from nbfuse.evaluation.summary import sentence


def arm(
    name: str, versus: Difference | None = None, cost: str | None = "0.001", s: float = 1.0
) -> Arm:
    each = None if cost is None else Decimal(cost)
    return Arm(
        arm=name, asked=100, accuracy=0.5, low=0.4, high=0.6, versus=versus, mean_cost=each,
        total_cost=each, p50_s=s, p95_s=s, mean_calls=1.0,
    )  # fmt: skip


def said(
    versus: Difference,
    out_of_fold: Difference | None = None,
    fused: tuple[str | None, float] = ("0.0024", 3.1),
    single: tuple[str | None, float] = ("0.001", 1.0),
    **more: object,
) -> str:
    arms = [arm(FUSED, versus, *fused), arm("gpt", None, *single)]
    return sentence(arms, "gpt", out_of_fold or versus, **more)


BETTER = Difference(0.026, 0.010, 0.043, 40, 14, 0.0004)
WORSE = Difference(-0.03, -0.05, -0.01, 4, 24, 0.0002)
ALIKE = Difference(0.004, -0.01, 0.02, 10, 8, 0.8)


def test_it_beats() -> None:
    assert said(BETTER) == (
        "Fusion beats your best single model by 2.6 points (95 % 1.0 to 4.3) at 2.4 × its cost"
    )


def test_it_does_not_help() -> None:
    assert said(ALIKE) == "No evidence that fusion helps here: use gpt alone"


def test_it_is_worse() -> None:
    assert said(WORSE) == ("Fusion is worse here by 3.0 points (95 % 1.0 to 5.0): use gpt alone")


def test_where_nothing_is_billed_its_time_is_told() -> None:
    assert said(BETTER, fused=("0", 3.1), single=("0", 1.0)).endswith(" at 3.1 × its time")
    assert said(BETTER, fused=(None, 3.1), single=("0.1", 1.0)).endswith(" at 3.1 × its time")
    assert said(BETTER, fused=(None, 3.1), single=(None, 0.0)).endswith(" to 4.3)")


def test_an_interval_alone_is_no_evidence() -> None:
    four = paired([1.0] * 20, [1.0] * 16 + [0.0] * 4)
    assert four.low > 0  # the bootstrap is sure of four in twenty
    assert four.p == 0.125
    assert said(four).startswith("No evidence")


def test_what_is_claimed_holds_for_both_ways_to_choose_the_best() -> None:
    assert said(BETTER, ALIKE).startswith("No evidence")
    assert said(ALIKE, BETTER).startswith("No evidence")
    assert said(WORSE, ALIKE).startswith("No evidence")
    smaller = Difference(0.02, 0.008, 0.03, 30, 10, 0.002)
    assert "by 2.0 points (95 % 0.8 to 3.0)" in said(BETTER, smaller)


def test_of_several_pools_each_is_named_and_must_be_surer() -> None:
    assert said(BETTER, pool="work", among=2).startswith("Fusion with work beats your best")
    assert said(ALIKE, pool="work", among=2) == (
        "No evidence that fusion with work helps here: use gpt alone"
    )
    close = Difference(0.026, 0.001, 0.05, 20, 9, 0.04)
    assert said(close).startswith("Fusion beats")
    assert said(close, pool="work", among=2).startswith("No evidence")
