"""Ratings from votes on pairs, held against another implementation of the same model."""

from __future__ import annotations

import math
import random

import choix
import numpy as np
import pytest

from nbfuse.comparison.rating import LEAST_VOTES, Pair, ratings
from nbfuse.comparison.tally import tally
from nbfuse.core.ballot import Ballot


def votes(strengths: dict[str, float], count: int, ties: float = 0.0, seed: int = 0) -> list[Pair]:
    chance, names = random.Random(seed), list(strengths)
    made = []
    for _ in range(count):
        one, other = chance.sample(names, 2)
        wins = 1 / (1 + 10 ** ((strengths[other] - strengths[one]) / 400))
        better, worse = (one, other) if chance.random() < wins else (other, one)
        made.append(Pair(better, worse, tie=chance.random() < ties))
    return made


def test_it_agrees_with_choix_to_three_digits() -> None:
    strengths = {"a": 1200.0, "b": 1000.0, "c": 950.0, "d": 700.0}
    cast = votes(strengths, 400, ties=0.1)
    names = sorted(strengths)
    # every vote twice, so that the half wins of ties and of the prior are whole ones
    data = [(names.index(p.better), names.index(p.worse)) for p in cast for _ in range(2 - p.tie)]
    data += [(names.index(p.worse), names.index(p.better)) for p in cast if p.tie]
    data += [(i, j) for i in range(4) for j in range(4) if i != j]
    theirs = 1000 + 400 / math.log(10) * choix.opt_pairwise(4, data, tol=1e-12)
    ours = {one.name: one.rating for one in ratings(cast)}
    assert [ours[name] for name in names] == pytest.approx(list(theirs), rel=5e-4)


def test_the_interval_holds_what_is_true_about_as_often_as_it_says() -> None:
    strengths = {"a": 1100.0, "b": 1000.0, "c": 900.0}
    hits = 0
    for seed in range(60):
        found = {one.name: one for one in ratings(votes(strengths, 150, seed=seed))}
        hits += sum(found[n].low <= strengths[n] <= found[n].high for n in strengths)
    assert 0.88 <= hits / 180 <= 0.99


def test_the_best_rated_stands_first_whoever_is_shipped() -> None:
    about = {"voter": "a" * 32, "at": "2026-11-27T12:00:00+00:00"}
    cast = [
        Ballot(id=f"{i:032x}", kind="pair", contender="local:a", other="local:b", **about)
        for i in range(12)
    ]
    cast.append(Ballot(id="f" * 32, kind="ship", contender="local:b", **about))
    assert [one.contender for one in tally(cast)] == ["local:a", "local:b"]


def test_too_few_votes_are_no_rating() -> None:
    few = [Pair("a", "b")] * (LEAST_VOTES - 1)
    assert [str(one) for one in ratings(few, ["a", "c"])] == [
        "9 votes, too few",
        "No votes yet",
        "9 votes, too few",
    ]
    one, other = ratings([*few, Pair("a", "b")])
    assert one.rating > 1000 > other.rating  # and not infinite, though it has won every vote
    assert math.isfinite(one.high)
    assert str(one).endswith("10 votes)")


def test_who_has_not_met_is_not_on_one_scale() -> None:
    apart = ratings([Pair("a", "b")] * 12 + [Pair("c", "d")] * 12)
    assert {one.among for one in apart} == {("a", "b"), ("c", "d")}
    assert {round(one.rating) for one in apart} == {round(one.rating) for one in apart[1:3]}


def test_a_seed_repeats_the_interval_and_the_order_of_votes_does_not_count() -> None:
    cast = votes({"a": 1000.0, "b": 950.0}, 40, ties=0.2)
    assert ratings(cast, seed=3) == ratings(cast[::-1], seed=3)
    assert np.isclose(sum(one.rating for one in ratings(cast)), 2000)
