"""Intervals and tests against scipy's own and values known from books."""

from __future__ import annotations

import random

import pytest
from scipy import stats

from nbfuse.evaluation.statistics import beyond_chance, mcnemar, paired, percentile, wilson


@pytest.mark.parametrize(("right", "asked"), [(0, 10), (7, 10), (81, 263), (50, 50)])
def test_wilsons_interval_is_scipys(right: int, asked: int) -> None:
    known = stats.binomtest(right, asked).proportion_ci(0.95, method="wilson")
    assert wilson(right, asked) == pytest.approx((known.low, known.high))


def test_wilsons_interval_for_81_of_263_is_the_published_one() -> None:
    # Newcombe 1998, table I: 0.2553 to 0.3662
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_share_of_nothing_is_anything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_mcnemar_is_exact() -> None:
    assert mcnemar(9, 1) == pytest.approx(22 / 1024)  # 2 × (1 + 10) / 2**10
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_chance_is_one_sided() -> None:
    assert beyond_chance(5, 5, 0.5) == pytest.approx(1 / 32)
    assert beyond_chance(0, 5, 0.5) == 1.0
    assert beyond_chance(0, 0, 0.5) == 1.0


def test_the_paired_bootstrap_agrees_with_scipys() -> None:
    rng = random.Random(1)
    mine = [float(rng.random() < 0.7) for _ in range(300)]
    other = [m if rng.random() < 0.6 else float(rng.random() < 0.5) for m in mine]
    found = paired(mine, other, seed=3)
    known = stats.bootstrap(
        ([m - o for m, o in zip(mine, other, strict=True)],),
        lambda x, axis=-1: x.mean(axis=axis),
        method="percentile",
        n_resamples=10_000,
        rng=7,
    ).confidence_interval
    assert found.mean == pytest.approx((sum(mine) - sum(other)) / 300)
    assert found.low == pytest.approx(known.low, abs=0.01)
    assert found.high == pytest.approx(known.high, abs=0.01)
    assert found.low < found.mean < found.high
    assert found == paired(mine, other, seed=3)
    assert found != paired(mine, other, seed=4)


def test_marks_between_right_and_wrong_are_paired_too() -> None:
    found = paired([0.5, 1.0, 0.25], [0.25, 1.0, 0.75])
    assert found.mean == pytest.approx(-0.25 / 3)
    assert (found.better, found.worse) == (1, 1)


def test_no_difference_has_no_width() -> None:
    assert paired([1.0, 0.0], [1.0, 0.0]) == (0.0, 0.0, 0.0, 0, 0, 1.0)


def test_percentiles_lie_between_values() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert percentile([], 0.5) is None


def test_without_scipy_the_error_says_what_to_install() -> None:
    import subprocess
    import sys

    script = (
        "import asyncio, sys; sys.modules['scipy'] = None; sys.modules['scipy.stats'] = None\n"
        "import nbfuse\n"
        "asyncio.run(nbfuse.evaluate([{'question': 'q', 'reference': 'a'}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ConfigError: Evaluating needs scipy" in done.stderr
    assert "pip install 'nbfuse[evaluate]'" in done.stderr
