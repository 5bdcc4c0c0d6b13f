"""Which answers count as right."""

from __future__ import annotations

import asyncio

import pytest

from nbfuse.core.errors import ConfigError
from nbfuse.evaluation.grading import Grade, Marks, check_references, kind_of
from nbfuse.evaluation.questions import read_questions


def mark(text: str, reference: object, kind: str = "", grade: Grade | None = None) -> float | None:
    row = {"id": "x", "question": "q", "reference": reference, "kind": kind}
    asked = read_questions([row], graded=grade is not None)
    if grade is None:
        check_references(asked, None)
    marks = Marks(asked, grade, None)
    asyncio.run(marks.grade("x", [text]))
    return marks.of("x", text)


@pytest.mark.parametrize(
    ("text", "reference", "kind", "right"),
    [
        ("The sum is 1,000.", 1000, "", 1.0),
        ("12 + 30 = 42", "12 + 30 = 42", "number", 1.0),
        ("It is 43", 42, "", 0.0),
        ("The answer is (B)", "B", "", 1.0),
        ("The answer is C", "B", "", 0.0),
        ("It must be\nparis.", "Paris", "", 1.0),
        ("\\boxed{Paris}", "Paris", "", 1.0),
        ('```json\n{"b": 2, "a": 1}\n```', {"a": 1, "b": 2}, "", 1.0),
        ('{"a": 2}', '{"a": 1}', "", 0.0),
        ("one\ntwo ", "one\ntwo", "", 1.0),
        ("I don't know", 42, "", 0.0),
        ("", 42, "", 0.0),
    ],
)
def test_answers_are_compared_by_what_they_come_down_to(
    text: str, reference: object, kind: str, right: float
) -> None:
    assert mark(text, reference, kind) == right


@pytest.mark.parametrize(
    ("reference", "kind"),
    [("42", "number"), ("-3.5", "number"), ("C", "choice"), ("Paris", "label"), ("[1]", "json")],
)
def test_the_kind_is_found_in_the_reference(reference: str, kind: str) -> None:
    asked = read_questions([{"question": "q", "reference": reference}], graded=False)
    assert kind_of(asked[0].question, None) == kind
    assert kind_of(asked[0].question, "code") == "code"  # a pool's own goes before


def test_a_reference_that_is_not_of_its_kind_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"Question x: its reference 'twelve' is no number"):
        mark("12", "twelve", "number")


def test_a_grader_gets_the_row_and_may_be_async() -> None:
    async def slow(text: str, row: dict) -> float:
        await asyncio.sleep(0)
        return 0.5 if text == row["reference"] else 0.0

    assert mark("a", "a", grade=lambda text, row: text == row["reference"]) == 1.0
    assert mark("a", "a", grade=slow) == 0.5


@pytest.mark.parametrize("said", [None, "yes", 2, -1, float("nan"), [1]])
def test_a_grader_that_gives_no_mark_is_a_grader_that_failed(said: object) -> None:
    assert mark("a", "a", grade=lambda *_: said) is None
