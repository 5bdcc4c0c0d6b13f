"""Scripted panels on the look-alike: members that know some answers, judges with one habit."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection

from lookalike import LookAlike, Say, verdict

from nbfuse import Pool


def table(count: int) -> list[dict[str, object]]:
    """Sums with their results."""
    return [
        {"id": f"q{i}", "question": f"Sum {i}: what is {i} + {i}?", "reference": 2 * i}
        for i in range(count)
    ]


def number(body: dict) -> int:
    """The number of the question in a request to a member."""
    return int(re.search(r"Sum (\d+):", body["messages"][-1]["content"])[1])


def member(
    knows: Collection[int], wrong: int = 1, words: str = "It is", cost: str | None = "0.001"
) -> Callable[[dict], Say]:
    """Right on the questions that it knows, else too high by `wrong`."""

    def reply(body: dict) -> Say:
        i = number(body)
        return Say(f"{words} {2 * i if i in knows else 2 * i + wrong}", cost=cost)

    return reply


def luck(*asked: object) -> random.Random:
    """That of a judge with what it is asked: the same whichever question comes first."""
    return random.Random(str(asked))


def candidates(prompt: str) -> dict[str, str]:
    """What a judge reads, by letter."""
    found = re.findall(r"^Candidate (\w+)[^\n]*\n<<<(\w+)\n(.*?)\n\2>>>", prompt, re.M | re.S)
    return {letter: text for letter, _, text in found}


def knowing(prompt: str) -> str:
    """The letter of a right candidate, else the first."""
    right = 2 * int(re.search(r"Sum (\d+):", prompt)[1])
    those = candidates(prompt)
    return next((letter for letter, text in those.items() if text.endswith(f" {right}")), "A")


def longest(prompt: str) -> str:
    return max((those := candidates(prompt)), key=lambda letter: len(those[letter]))


def judge(habit: Callable[[str], str]) -> Callable[[dict], Say]:
    return verdict(habit)


def garbled(every: int, habit: Callable[[str], str]) -> Callable[[dict], Say]:
    """A judge that every second time (or third, …) says nothing that could be read."""
    asked = 0

    def reply(body: dict) -> Say:
        nonlocal asked
        asked += 1
        if asked % every == 0:
            return Say("er, well")
        shown = next(m for m in body["messages"] if "Candidate " in m["content"])
        return verdict(habit)({"messages": [shown]})  # also where it is asked once more

    return reply


def pool(*names: str, **settings: object) -> Pool:
    defaults = {"judge": "openrouter:v/judge", "answer": "number", "name": "three"}
    return Pool(members=tuple(f"openrouter:v/{n}" for n in names), **{**defaults, **settings})


def three(server: LookAlike, count: int = 20, habit: Callable[[str], str] = knowing) -> Pool:
    """Members a, b and c, wrong each in its own way: a knows 60 %, b and c another 40 % each."""
    server.models |= {
        "v/a": member({i for i in range(count) if i % 5 < 3}, 1),
        "v/b": member({i for i in range(count) if i % 5 in (2, 3)}, 2, "I think it is"),
        "v/c": member({i for i in range(count) if i % 5 in (3, 4)}, 3, "Well, my answer is"),
        "v/judge": judge(habit),
    }
    return pool("a", "b", "c")
