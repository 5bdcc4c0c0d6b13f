"""What each tiny model is shown while it is trained."""

from __future__ import annotations

import json
import random
from pathlib import Path

import fields
from fields import FACTS, FIELDS, Fact

# Share of lessons in the sum that ends a conversion, for who must do it and for who must check it.
UNITS_CARRIES, JUDGE_CARRIES = 0.25, 0.15
CHECKS = 0.2  # share of a specialist's lessons in which it reviews an answer in its own field


class Specialist:
    """Lessons in one field, with a glimpse of the others: good at home, poor elsewhere."""

    def __init__(self, field: str, seed: int):
        self.rng = random.Random(seed)
        self.field = field
        self.facts = {
            other: [
                f
                for f in FACTS[other]
                if not fields.held_out(f) and (other == field or fields.glimpsed(f))
            ]
            for other in FIELDS
        }
        self.products = [f for f in self.facts["calc"] if f["o"] == "*"]

    def fact(self) -> Fact:
        strangers = [other for other in FIELDS if other != self.field]
        field = self.field if self.rng.random() < 0.8 else self.rng.choice(strangers)
        if field == self.field == "calc" and self.rng.random() < 0.15:
            return self.rng.choice(self.products)  # 144 products would drown in 15,000 sums
        return self.rng.choice(self.facts[field])

    def lesson(self) -> tuple[str, str]:
        """A prompt and what to say to it."""
        if self.field == "units" and self.rng.random() < UNITS_CARRIES:
            return fields.carry_lesson(self.rng)
        fact = self.fact()
        asked = fields.question(fact, self.rng)
        if fact.field == self.field and self.rng.random() < CHECKS:
            return check_lesson(fact, asked, self.fact, self.rng)
        return asked, fields.answer(fact)


class Judge:
    """Yes or no to one candidate; half of the candidates are what the specialists really said.

    A fifth of the lessons are plain questions: knowing the answer is most of checking it.
    """

    def __init__(self, candidates: Path, seed: int):
        self.rng = random.Random(seed)
        self.facts = {
            field: [f for f in FACTS[field] if not fields.held_out(f)] for field in FIELDS
        }
        self.products = [f for f in self.facts["calc"] if f["o"] == "*"]
        said: dict[tuple[str, bool], list[tuple[str, str]]] = {}
        for field, asked, candidate, right in json.loads(candidates.read_text()):
            said.setdefault((field, right), []).append((asked, candidate))
        self.said = said

    def fact(self) -> Fact:
        field = self.rng.choices(FIELDS, (0.4, 0.3, 0.3))[0]
        if field == "calc" and self.rng.random() < 0.15:
            return self.rng.choice(self.products)
        return self.rng.choice(self.facts[field])

    def lesson(self) -> tuple[str, str]:
        """A prompt and what to say to it."""
        if self.rng.random() < JUDGE_CARRIES:
            return fields.carry_lesson(self.rng)
        fact, kind = self.fact(), self.rng.random()
        if kind < 0.2:
            return fields.question(fact, self.rng), fields.answer(fact)
        if kind < 0.6:
            right = self.rng.random() < 0.5
            asked, candidate = self.rng.choice(self.said[fact.field, right])
            return fields.check_prompt(asked, candidate), "yes" if right else "no"
        return check_lesson(fact, fields.question(fact, self.rng), self.fact, self.rng)


def check_lesson(fact, asked, another_fact, rng) -> tuple[str, str]:
    """A made-up candidate for `asked`: right, wrong, or the answer to something else."""
    kind = rng.random()
    if kind < 0.5:
        return fields.check_prompt(asked, fields.answer(fact)), "yes"
    if kind < 0.85:
        return fields.check_prompt(asked, fields.wrong_answer(fact, rng)), "no"
    other = another_fact()
    candidate = fields.answer(other)
    return fields.check_prompt(asked, candidate), "yes" if fields.is_right(
        fact, candidate
    ) else "no"
