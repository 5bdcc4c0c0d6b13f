"""Hundreds of merges with writers and judges that do as they like: none does harm."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

import pytest
from asking import seen
from lookalike import wanted

from nbfuse import FusionResult, Pool
from nbfuse.core.call import Call, Chunk
from nbfuse.core.errors import ProviderUnavailableError
from nbfuse.core.events import RunFinished
from nbfuse.core.measured import Measured, Share
from nbfuse.core.request import Request
from nbfuse.fusion import engine
from nbfuse.providers.protocol import ModelInfo
from nbfuse.providers.registry import Target

CASES = 400
LISTS = ("consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots")
WORDS = [
    "tide",
    "moon",
    "water",
    "earth",
    "pulls",
    "bulge",
    "sea",
    "level",
    "twice",
    "day",
    "coast",
]


class Heard(NamedTuple):
    """One comparison of two texts: in which order, and which of them was preferred (None: none)."""

    texts: tuple[str, ...]
    preferred: str | None


class Scripted:
    """A provider of members that say their text, and of a judge that does as it likes."""

    local = False

    def __init__(self, said: dict[str, str], merged: str, judge: Callable[[list[str]], object]):
        self.said, self.merged, self.judge = said, merged, judge
        self.heard: list[Heard] = []

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        text = self.said[call.model] if call.model in self.said else self._judged(call)
        yield Chunk(text=text, finish="stop")

    def _judged(self, call: Call) -> str:
        body = {"response_format": {"json_schema": {"schema": call.schema or {}}}}
        match wanted(body):
            case "analysis":
                return json.dumps({name: [] for name in LISTS})
            case "writing" if "You write one answer" in call.messages[0].content:
                return self.merged
        texts = [
            text for _, text in seen({"messages": [{}, {"content": call.messages[1].content}]})
        ]
        choice = self.judge(texts)
        if isinstance(choice, str):
            self.heard.append(Heard(tuple(texts), None))
            return choice
        if choice is None:
            self.heard.append(Heard(tuple(texts), None))
            raise ProviderUnavailableError("It is down.", "Wait.")
        self.heard.append(Heard(tuple(texts), texts[choice]))
        return _ruling(len(texts), choice)

    async def models(self) -> list[ModelInfo]:
        return []

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        return [ModelInfo(id=model) for model in models]

    async def aclose(self) -> None:
        pass


def _ruling(count: int, choice: int) -> str:
    letters = "ABCDEFGH"[:count]
    marks = {"errors": [], "correctness": 2, "completeness": 2, "instruction_fit": 2, "risk": ""}
    best, second = letters[choice], letters[choice - 1]
    verdict = {"best": best, "runner_up": second, "margin": "clear", "none_acceptable": False}
    candidates = [{"id": letter, **marks} for letter in letters]
    return json.dumps(
        {"candidates": candidates, "disagreements": [], "verdict": verdict, "reason": "So."}
    )


def judges(draw: random.Random) -> Callable[[list[str]], object]:
    """A judge of one of many habits; None is a failure, a text is said as it is."""
    merit: dict[str, float] = {}

    def by_merit(texts: list[str]) -> int:
        return max(range(len(texts)), key=lambda i: merit.setdefault(texts[i], draw.random()))

    sober = draw.random()
    return draw.choice(
        [
            by_merit,
            lambda _: 0,
            lambda texts: len(texts) - 1,
            lambda texts: draw.randrange(len(texts)),
            lambda texts: max(range(len(texts)), key=lambda i: len(texts[i])),
            lambda texts: min(range(len(texts)), key=lambda i: len(texts[i])),
            lambda texts: by_merit(texts) if draw.random() < sober else "er, well",
            lambda texts: by_merit(texts) if draw.random() < sober else None,
            lambda texts: by_merit(texts) if draw.random() < sober else _ruling(8, 7),
        ]
    )


def sentence(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(3, 25)))


class Case(NamedTuple):
    """A merge: what was said, written and compared, and what it came to."""

    provider: Scripted
    members: dict[str, str]
    result: FusionResult


def case(seed: int, measured: Measured | None = None) -> Case:
    draw = random.Random(seed)
    count, numbers = draw.randint(2, 5), draw.random() < 0.4
    names = [f"m{i}" for i in range(count)]
    said = {name: f"It is {draw.randint(1, 3)}" if numbers else sentence(draw) for name in names}
    fresh = f"All in all it is {draw.randint(1, 4)}" if numbers else sentence(draw)
    merged = fresh if draw.random() < 0.85 else draw.choice(list(said.values()))
    provider = Scripted(said, merged, judges(draw))
    pool = Pool(
        members=tuple(f"x:{name}" for name in names),
        judge="x:judge",
        mode="merge",
        anchor=draw.choice(names),
        answer="number" if numbers else None,
        quorum=count,
    )

    async def last() -> FusionResult:
        def resolve(spec: str) -> Target:
            return Target(spec, provider, spec.removeprefix("x:"))

        asked = Request("Tides?", pool)
        events = engine.stream(asked, entropy=seed, measured=measured, resolve=resolve)
        return [e async for e in events if isinstance(e, RunFinished)][-1].result

    return Case(provider, said, asyncio.run(last()))


@pytest.mark.timeout(90)
def test_no_merged_answer_is_returned_that_has_not_won_in_both_orders() -> None:
    outcomes = dict.fromkeys(("merged", "kept", "agreed"), 0)
    lost = tied = 0
    for seed in range(CASES):
        provider, said, result = case(seed)
        merged, heard = provider.merged, [one for one in provider.heard if one.preferred]
        if result.verdict.decided_by == "agreement":
            outcomes["agreed"] += 1
            assert not provider.heard  # and nobody was paid
            continue
        orders = {one.texts: one.preferred for one in heard}
        wins = [texts for texts, preferred in orders.items() if preferred == merged]
        lost += bool(orders) and not wins
        tied += bool(wins) and not any(texts[::-1] in wins for texts in wins)
        if result.verdict.decided_by != "merge":
            outcomes["kept"] += 1
            assert result.text in said.values(), seed
            assert said[result.verdict.best] == result.text
            assert any(note.startswith("Not merged") for note in result.notes)
            continue
        outcomes["merged"] += 1
        assert result.text == merged
        if not provider.heard:  # word for word that of the best one: there is nothing to compare
            assert said[result.verdict.best] == merged
            continue
        assert any(texts[::-1] in wins for texts in wins), (seed, orders)
        assert {text for texts in orders for text in texts} == {merged, *said.values()}
    assert min(outcomes.values()) > 15, outcomes  # each happens often enough to mean something
    assert min(lost, tied) > 40


@pytest.mark.timeout(60)
def test_what_two_orders_leave_open_goes_to_the_best_member_where_that_is_known() -> None:
    known = Measured(models={f"x:m{i}": Share(40 + 12 * i, 100) for i in range(5)})
    compared = 0
    for seed in range(CASES // 2):
        _, said, result = case(seed, known)
        doubled = len(set(said.values())) < len(said)  # then it is agreement that decides
        if doubled or "not found better" not in result.verdict.reason:
            continue
        compared += 1
        assert result.verdict.best == max(said), seed
    assert compared > 10


@pytest.mark.timeout(60)
def test_a_merge_that_contradicts_most_members_is_not_even_compared() -> None:
    stopped = 0
    for seed in range(CASES):
        provider, said, result = case(seed)
        found = list(said.values())
        most = max(set(found), key=found.count)
        if 2 * found.count(most) <= len(found) or len(set(found)) == 1:
            continue
        if provider.merged[-1] != most[-1]:
            stopped += 1
            assert (result.text, provider.heard) == (most, [])
    assert stopped > 20
