"""Splitting a question that asks several things."""

from __future__ import annotations

import pytest

from nbfuse.fusion.parts import split


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "What is 12 + 30 and what is the capital of France?",
            ("What is 12 + 30?", "What is the capital of France?"),
        ),
        (
            "What is 12 + 30, and how many minutes are in 3 hours?",
            ("What is 12 + 30?", "How many minutes are in 3 hours?"),
        ),
        (
            "What is the capital of Peru? Convert 5 km to m.",
            ("What is the capital of Peru?", "Convert 5 km to m."),
        ),
        (
            "1. What is 3 + 4?\n2. Name the capital of Mali.",
            ("What is 3 + 4?", "Name the capital of Mali."),
        ),
        (
            "Calculate 4 x 5 and name the capital of Chad and convert 2 days to hours.",
            ("Calculate 4 x 5.", "Name the capital of Chad.", "Convert 2 days to hours."),
        ),
        (
            "Convert 3 km to m and Bangkok is the capital of which country?",
            ("Convert 3 km to m.", "Bangkok is the capital of which country?"),
        ),
        ("12+30 and Peru: capital?", ("12+30.", "Peru: capital?")),
    ],
)
def test_each_part_is_a_question_by_itself(question: str, parts: tuple[str, ...]) -> None:
    assert split(question) == parts


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Trinidad and Tobago?",
        "What is 12 + 30?",
        "How much is 3 and 4?",
        "Compare cats and dogs.",
        "Who wrote War and Peace?",
        "What is the sum of 3 and 4, and nothing else?",
        "Salt and pepper",
        "Explain what a monad is, and give an example in Haskell",
        "",
    ],
)
def test_what_is_one_question_stays_whole(question: str) -> None:
    assert split(question) == (question,)
