"""How good contenders are by votes on pairs of them: Bradley and Terry's model, with intervals.

P(i is better than j) = 1 / (1 + 10^((rating_j - rating_i) / 400)), the mean rating being 1000
(Bradley and Terry 1952; the scale is the one that Elo made usual). A tie is half a win for either.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from nbfuse.evaluation.statistics import LEVEL, need

LEAST_VOTES = 10  # of a contender, below which a rating says nothing
MIDDLE, SCALE = 1000.0, 400 / math.log(10)
# Half a win for either side of every pair that has met: who has won every vote so far is not
# infinitely better. It is what Jeffreys' prior gives to one share.
PRIOR = 0.5
RESAMPLES, STEPS, LONGEST_STEP, CLOSE = 1000, 50, 2.0, 1e-9


class Pair(NamedTuple):
    """A vote: `better` was preferred to `worse`, or neither was (`tie`)."""

    better: str
    worse: str
    tie: bool = False


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """A contender's rating with its 95 % bootstrap interval; None below `LEAST_VOTES` votes.

    `among` are those with whom it is on one scale: votes lead from each of them to all others.
    """

    name: str
    votes: int
    rating: float | None = None
    low: float | None = None
    high: float | None = None
    among: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.rating is None:
            return "No votes yet" if not self.votes else f"{_count(self.votes)}, too few"
        return f"{self.rating:.0f} ({self.low:.0f} to {self.high:.0f}, {_count(self.votes)})"


def ratings(pairs: Sequence[Pair], names: Sequence[str] = (), seed: int = 0) -> tuple[Rating, ...]:
    """The rating of everybody in `pairs`, and of `names` who may have no vote yet; best first.

    `seed` draws the resamples. Raises `ConfigError` where the extra `evaluate` is missing.
    """
    votes: dict[str, int] = dict.fromkeys(names, 0)
    for pair in pairs:
        for name in pair[:2]:
            votes[name] = votes.get(name, 0) + 1
    found: dict[str, Rating] = {}
    for group in _connected(pairs):
        rated = _rated([pair for pair in pairs if pair.better in group], group, votes, seed)
        found |= {rating.name: rating for rating in rated}
    everybody = [found.get(name) or Rating(name=name, votes=0) for name in votes]
    return tuple(sorted(everybody, key=lambda one: -(one.rating or -math.inf)))


def _rated(
    pairs: Sequence[Pair], group: Sequence[str], votes: Mapping[str, int], seed: int
) -> list[Rating]:
    numpy = need("numpy")
    counted = Counter(pairs)
    kinds = sorted(counted)
    counts = numpy.array([counted[kind] for kind in kinds])
    wins = numpy.zeros((len(kinds), len(group), len(group)))
    for number, kind in enumerate(kinds):
        i, j = group.index(kind.better), group.index(kind.worse)
        wins[number, i, j] += 0.5 if kind.tie else 1.0
        wins[number, j, i] += 0.5 if kind.tie else 0.0
    met = (wins.sum(axis=0) + wins.sum(axis=0).T > 0) * PRIOR
    (rated,) = _fit(numpy, numpy.tensordot(counts[None], wins, 1) + met)
    draws = numpy.random.default_rng(seed).multinomial(
        counts.sum(), counts / counts.sum(), size=RESAMPLES
    )
    tail = 100 * (1 - LEVEL) / 2
    low, high = numpy.percentile(
        _fit(numpy, numpy.tensordot(draws, wins, 1) + met), [tail, 100 - tail], axis=0
    )
    return [
        Rating(
            name=name,
            votes=votes[name],
            rating=float(rated[i]),
            low=float(low[i]),
            high=float(high[i]),
            among=tuple(group),
        )
        if votes[name] >= LEAST_VOTES
        else Rating(name=name, votes=votes[name], among=tuple(group))
        for i, name in enumerate(group)
    ]


def _fit(numpy: Any, wins: Any) -> Any:
    """The likeliest ratings for each of several tables of wins (who, over whom), by Newton."""
    size = wins.shape[-1]
    games = wins + wins.swapaxes(-1, -2)
    strength = numpy.zeros(wins.shape[:-1])
    for _ in range(STEPS):
        share = 1 / (1 + numpy.exp(strength[..., None, :] - strength[..., :, None]))
        slope = (wins - games * share).sum(axis=-1)
        bend = games * share * (1 - share)
        curve = numpy.eye(size) * bend.sum(axis=-1)[..., None] - bend + 1 / size  # the mean stays
        step = numpy.linalg.solve(curve, slope[..., None])[..., 0]
        strength = strength + numpy.clip(step, -LONGEST_STEP, LONGEST_STEP)
        if numpy.abs(step).max() < CLOSE:
            break
    return MIDDLE + SCALE * (strength - strength.mean(axis=-1, keepdims=True))


def _connected(pairs: Sequence[Pair]) -> list[list[str]]:
    """Those who have met, directly or through others, each group by itself."""
    group: dict[str, set[str]] = {}
    for one, other, _ in set(pairs):
        whole = group.get(one, {one}) | group.get(other, {other})
        for name in whole:
            group[name] = whole
    return [sorted(those) for those in {id(g): g for g in group.values()}.values()]


def _count(votes: int) -> str:
    return f"{votes} vote{'s' * (votes != 1)}"
