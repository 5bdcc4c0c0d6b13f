"""Casts votes on contenders: ship or skip, and which of two answers is better, names unseen."""

from __future__ import annotations

import itertools
import os
import random
import typing
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from nbfuse.core.ballot import Ballot
from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.stamp import now
from nbfuse.core.types import FusionResult
from nbfuse.evaluation.questions import digest

if typing.TYPE_CHECKING:
    from nbfuse.comparison.comparison import Comparison

Choice = Literal["A", "B", "tie"]
POOL = "pool:"  # what a pool's name begins with where contenders are named


class Blind(NamedTuple):
    """Two answers to a question, each with the contender that gave it, in a drawn order."""

    prompt: str
    a: tuple[str, str]
    b: tuple[str, str]


class Said(NamedTuple):
    """A question, and what each contender has answered."""

    prompt: str
    by: Mapping[str, str]


def verdict(voter: str, kind: Literal["ship", "skip"], name: str, known: Sequence[str]) -> Ballot:
    """A vote to ship a contender, or to skip it; raises `ConfigError` for a name of another form.

    `known` are names that are offered where it is mistyped.
    """
    if ":" not in name:
        raise ConfigError(f"{name!r} names no model and no pool.", did_you_mean(name, known))
    return Ballot(id=_new(), voter=voter, at=now(), kind=kind, contender=name)


def of_comparison(found: Comparison, chance: random.Random) -> Said:
    """What each contender has said to one of its questions, drawn from those that differ."""
    said: dict[str, dict[str, str]] = {question.id: {} for question in found.questions}
    for sample in found.samples:
        if not sample.failed:
            said[sample.question][sample.contender] = sample.text
    questions = {question.id: question.text for question in found.questions}
    apart = [name for name, those in said.items() if _differ(those)]
    chosen = chance.choice(apart or list(said))
    return Said(questions[chosen], said[chosen])


def _differ(those: Mapping[str, str]) -> bool:
    return len({" ".join(text.split()) for text in those.values()}) > 1


def of_result(result: FusionResult) -> Said:
    """What each contender of a run has said: its members by their specs, and its pool.

    A pool counts where its answer is nobody's own.
    """
    said = {answer.spec: answer.text for answer in reversed(result.answers) if answer.usable}
    if result.pool and result.text.strip() and result.text not in said.values():
        said[f"{POOL}{result.pool}"] = result.text
    return Said(result.prompt, said)


def blind_pair(answers: Said, cast: Sequence[Ballot], chance: random.Random) -> Blind:
    """Two answers that say different things, of contenders with the fewest votes so far.

    Raises `ConfigError` where there are no two.
    """
    prompt, said = answers
    pairs = [
        (one, other)
        for one, other in itertools.combinations(said, 2)
        if said[one].split() != said[other].split()
    ]
    if not pairs:
        raise ConfigError(
            "There are no two answers that differ, of two contenders.", "Ask another question."
        )
    votes = Counter(frozenset((b.contender, b.other)) for b in cast if b.kind == "pair")
    mine = {b.subject[1:] for b in cast if b.kind == "pair"}

    def seen(pair: tuple[str, str]) -> tuple[bool, int, float]:
        here = (digest(prompt), *sorted(pair))
        return here in mine, votes[frozenset(pair)], chance.random()

    ranked = sorted(pairs, key=seen)
    one, other = chance.sample(ranked[0], 2)
    return Blind(prompt, (one, said[one]), (other, said[other]))


def preferred(voter: str, pair: Blind, choice: Choice) -> Ballot:
    """The vote that answer A or B of a blind pair was the better one, or neither."""
    better, worse = (pair.b[0], pair.a[0]) if choice == "B" else (pair.a[0], pair.b[0])
    return Ballot(
        id=_new(),
        voter=voter,
        at=now(),
        kind="pair",
        contender=better,
        other=worse,
        tie=choice == "tie",
        question=digest(pair.prompt),
        prompt=pair.prompt,
    )


def _new() -> str:
    return os.urandom(16).hex()
