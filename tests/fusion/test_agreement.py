"""What an answer comes down to, and who agrees with whom."""

from __future__ import annotations

import pytest

from nbfuse.core.types import Answer
from nbfuse.fusion.agreement import canonical, compare
from nbfuse.fusion.likeness import medoid


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("It is 1,234.50 in all.", "number", "2469/2"),
        ("1 000 metres", "number", "1000 m"),
        (r"so 7, thus \boxed{42}", "number", "42"),
        ("#### -3", "number", "-3"),
        ("12 + 30 = 42", "number", "42"),
        ("42 (see step 3)", "number", "42"),
        (".5", "number", "1/2"),
        ("-0", "number", "0"),
        ("2/6", "number", "1/3"),
        ("5 million", "number", "5000000"),
        ("3.5 × 10^6", "number", "3500000"),
        ("12345678901234567890123456789012345", "number", "12345678901234567890123456789012345"),
        ("1e1000000", "number", None),
        ("at 12:30", "number", None),
        ("no idea", "number", None),
        ("It falls with 9.81 m/s^2", "number", "981/100 m s^-2"),
        ("12 m^2 of floor", "number", "12 m^2"),
        ("It is 7 kg/m³.", "number", "7000 g m^-3"),
        (r"\boxed{\frac{1}{2}}", "number", "1/2"),
        (r"\boxed{-\frac{1}{2}}", "number", "-1/2"),
        (r"\boxed{1\frac{1}{2}}", "number", "3/2"),
        (r"\boxed{5\text{ m/s}^2}", "number", "5 m s^-2"),
        (r"\boxed{\frac{\sqrt{2}}{2}}", "number", None),
        (r"\boxed{3\sqrt{2}}", "number", None),
        (r"so 7, thus \boxed{no number}", "number", None),
        (r"It is \(3 \times 10^{8}\) m/s", "number", "300000000 m s^-1"),
        ("3 × 10⁸ m/s", "number", "300000000 m s^-1"),
        (r"90^\circ", "number", "90 °"),
        (r"1{,}234", "number", "1234"),
        ("42 according to the report [1].", "number", "42"),
        ("42 people [2, 3]", "number", "42"),
        ("[42]", "number", "42"),
        ("2 * 1000", "number", None),
        ("3 + 4", "number", None),
        ("2^10", "number", "1024"),
        ("between 5-7", "number", None),
        ("5–7 of them", "number", None),
        ("1 1/2 cups", "number", "3/2 cup"),
        ("2½ cups", "number", "5/2 cup"),
        ("1.234.567", "number", None),
        ("3,5", "number", None),
        ("on 2024-05-06", "number", None),
        ("It is 42, says GPT-4", "number", "42"),
        ("Answer - 42", "number", "42"),
        ("- 42", "number", "42"),
        ("x = - 42", "number", "-42"),
        ("It is **-42**.", "number", "-42"),
        ("a loss of -$5", "number", "-5 USD"),
        ("__42__", "number", "42"),
        ("#### Step 3\nIt is 42", "number", "42"),
        ("5.0", "label", "5"),
        ("**5.**", "label", "5"),
        (r"\boxed{5.0}", "label", "5"),
        ('{"answer": 1.0}', "json", "1"),
        ("The answer is B because it is right.", "choice", "B"),
        ("The answer is A because it is right.", "choice", "A"),
        ("B because it is right.", "choice", "B"),
        ("The answer is C because option B is wrong.", "choice", "C"),
        ("A, since it is right.", "choice", "A"),
        ("The answer is (B).", "choice", "B"),
        ("Answer: B", "choice", "B"),
        ("I choose B", "choice", "B"),
        ("(A) is wrong. It is B.", "choice", "B"),
        ("Option **C**, since", "choice", "C"),
        ("C", "choice", "C"),
        ("b", "choice", "B"),
        ("I think that A dog did it", "choice", None),
        ("The answer is A dog", "choice", None),
        ("The answer I found is C", "choice", None),
        ("Sentiment:\n**Positive.**", "label", "positive"),
        ('```json\n{"b": 1, "a": 2}\n```', "json", '{"a": 2, "b": 1}'),
        ('{"why": "x", "answer": [1, 2]}', "json", "[1, 2]"),
        ("not json", "json", None),
        ("[" * 100_000, "json", None),
        ("Sure:\n```python\nx = 1  \n\n# note\nprint(x)\n```", "code", "x = 1\nprint(x)"),
        ("```c\n#define N 3\n```", "code", "#define N 3"),
        ("```python\n# only a comment\n```", "code", None),
        ("  Yes,\nit is \n", "text", "Yes,\nit is"),
        ("", "text", None),
    ],
)
def test_an_answer_comes_down_to_a_value(text: str, kind: str, value: str | None) -> None:
    assert canonical(text, kind) == value


@pytest.mark.parametrize("piece", ["\n", "```\n", "(", "1 ", "answer is ", "\\boxed{", "[1,", "^"])
@pytest.mark.parametrize("kind", ["number", "choice", "label", "json", "code"])
def test_no_text_holds_the_run_up(piece: str, kind: str) -> None:
    canonical(piece * (200_000 // len(piece)) + "x", kind)  # the limit of a test is its judge


def answers(*texts: str) -> list[Answer]:
    return [Answer(member="abcdefgh"[i], spec="x", text=text) for i, text in enumerate(texts)]


def test_the_largest_group_comes_first_and_the_anchor_breaks_ties() -> None:
    found = compare(answers("4", "5", "so 4", "five: 5"), "number", anchor="b")
    assert found.groups == (("b", "d"), ("a", "c"))
    assert not found.unanimous


def test_boxed_answers_are_compared_without_being_told() -> None:
    found = compare(answers(r"\boxed{4}", r"long … \boxed{4}"), None, "a")
    assert found.unanimous


def test_free_texts_agree_only_to_the_letter() -> None:
    assert compare(answers("Yes.", " Yes. \n"), None, "a").unanimous
    for other in ("Yes!", "yes."):
        assert not compare(answers("Yes.", other), None, "a").unanimous


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (None, "5 mW", "5 MW"),
        (None, "for x in y:\n    f()\n    g()", "for x in y:\n    f()\ng()"),
        (None, r"\boxed{.5}", r"\boxed{5}"),
        (None, r"\boxed{Co}", r"\boxed{CO}"),
        (None, r"\boxed{f'}", r"\boxed{f}"),
        (None, r"\boxed{x=1} or \boxed{x=3}", r"\boxed{x=2} or \boxed{x=3}"),
        ("number", "3 ⋅ 10^8", "7 ⋅ 10^8"),
        ("number", "The answer is minus 5.", "The answer is 5."),
        ("number", "It is 3.14, to 2 decimal places.", "It is 2.72, to 2 decimal places."),
        ("number", "$1.5bn", "$1.5"),
        ("number", "5M", "5"),
        ("number", "sqrt(2)", "2"),
        ("number", "0x1F", "0x2F"),
        ("number", "1'000", "2'000"),
        ("number", "0.(3)", "0"),
        ("number", "`-5`", "5"),
        ("number", "5 − 3", "3"),
        ("number", "$3 and 50 cents", "$7 and 50 cents"),
        ("number", "5 ft 3 in", "6 ft 3 in"),
        ("number", "1 or 3", "2 or 3"),
        ("number", r"\boxed{1} or \boxed{3}", r"\boxed{2} or \boxed{3}"),
        (
            "code",
            "```python\ndef f(): return 1\n```\n```python\nf()\n```",
            "```python\ndef f(): return 2\n```\n```python\nf()\n```",
        ),
        ("choice", "The correct answer is C. Not (B)", "B"),
        ("choice", "A) no\nB) no\nC) yes", "A) yes\nB) no\nC) no"),
        ("choice", "I would not pick B", "B"),
        ("choice", "Answer: A, B", "Answer: A"),
    ],
)
def test_different_answers_are_never_taken_for_the_same(
    kind: str | None, one: str, other: str
) -> None:
    found = compare(answers(one, other), kind, "a")
    assert found is None or not found.unanimous


def test_an_unfinished_answer_has_no_vote() -> None:
    cut = Answer(member="c", spec="x", text="4", status="cut off")
    found = compare([*answers("5", "5"), cut], "number", "a")
    assert found.groups == (("a", "b"), ("c",))


def test_the_medoid_is_most_like_the_others_and_not_the_longest() -> None:
    those = answers("the cat sat", "the cat sat down", "a cat sat", "a dog " * 50)
    assert medoid(those).member == "a"
    assert medoid(those[:2]) is None
