"""What chance can do: intervals and tests, by their names in the literature (extra `evaluate`)."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from nbfuse.core.errors import ConfigError

LEVEL = 0.95
RESAMPLES = 10_000


class Difference(NamedTuple):
    """The mean of paired differences with its interval, and how many pairs lie on either side.

    `p` is that of McNemar's exact test.
    """

    mean: float
    low: float
    high: float
    better: int
    worse: int
    p: float


def need(module: str) -> Any:
    """A module of the extra `evaluate`; raises `ConfigError` where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"Evaluating needs {module.partition('.')[0]}, which is not installed.",
            "pip install 'nbfuse[evaluate]'",
        ) from error


def wilson(right: float, asked: int) -> tuple[float, float]:
    """Wilson's score interval of a share (1927), 95 %; (0, 1) where nothing was asked."""
    if not asked:
        return 0.0, 1.0
    z = float(need("scipy.stats").norm.ppf((1 + LEVEL) / 2))
    share, slack = right / asked, z * z / asked
    middle = (share + slack / 2) / (1 + slack)
    half = z / (1 + slack) * math.sqrt(share * (1 - share) / asked + slack / (4 * asked))
    return max(0.0, middle - half), min(1.0, middle + half)


def mcnemar(better: int, worse: int) -> float:
    """The p of McNemar's exact test: that a fair coin splits the questions that differ so."""
    if not better + worse:
        return 1.0
    test = need("scipy.stats").binomtest(min(better, worse), better + worse, 0.5)
    return float(test.pvalue)


def beyond_chance(hits: int, of: int, chance: float) -> float:
    """The p of the one-sided exact binomial test that `hits` are more than chance brings."""
    if not of:
        return 1.0
    return float(need("scipy.stats").binomtest(hits, of, chance, "greater").pvalue)


def paired(mine: Sequence[float], other: Sequence[float], seed: int = 0) -> Difference:
    """How much higher `mine` is than `other` on the same questions.

    The interval is the 95 % percentile bootstrap over questions (Efron 1979). Resampling n pairs is
    drawing from a multinomial over their distinct differences, which is exact and quick.
    """
    numpy = need("numpy")
    values = numpy.subtract(mine, other)
    if not len(values):
        return Difference(0.0, 0.0, 0.0, 0, 0, 1.0)
    distinct, counts = numpy.unique(values, return_counts=True)
    draws = numpy.random.default_rng(seed).multinomial(
        len(values), counts / len(values), size=RESAMPLES
    )
    tail = 100 * (1 - LEVEL) / 2
    low, high = numpy.percentile(draws @ distinct / len(values), [tail, 100 - tail])
    better, worse = int((values > 0).sum()), int((values < 0).sum())
    return Difference(
        float(values.mean()), float(low), float(high), better, worse, mcnemar(better, worse)
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which a share of `values` lies, linear in between; None for none."""
    if not values:
        return None
    return float(need("numpy").percentile(values, 100 * share))
