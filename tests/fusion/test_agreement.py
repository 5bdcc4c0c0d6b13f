"""What an answer comes down to, and who agrees with whom."""

from __future__ import annotations

import pytest

from nbfuse.core.types import Answer
from nbfuse.fusion.agreement import by_fields, compare, is_enough
from nbfuse.fusion.canonical import canonical, python_of
from nbfuse.fusion.likeness import medoid
from nbfuse.fusion.sandbox import Ran


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


KM = "How far is it?"
SHARE = "What percentage is it?"
DISCOUNT = "With a 20 % discount, which part of the price is left?"
CITIES = "Which city is it?\nA) Paris\nB) Rome\nC) A town in France"
INLINE = "Which one: (A) 12, (B) 21, (C) none of these?"

SAME = [
    ("number", KM, "3 km", "3,000 m"),
    ("number", KM, "3 km", "It is 3000 metres."),
    ("number", KM, "3km", "3 kilometers"),
    ("number", KM, "3 km", "3"),
    ("number", KM, "3 km away", r"\boxed{3\text{ km}}"),
    ("number", KM, "1'000 m", "1 000 m"),
    ("number", KM, "1\u2009000 m", "1\u202f000 m"),
    ("number", KM, "1’000", "1,000"),
    ("number", KM, "5 ft 3 in", "63 inches"),
    ("number", KM, "60 mph", "88 ft/s"),
    ("number", KM, "18 km/h", "5 m/s"),
    ("number", KM, "18 kilometres per hour", "5 m s^-1"),
    ("number", KM, r"9.81\,\mathrm{m/s^2}", "9.81 m/s²"),
    ("number", KM, "1.5 hours", "1 hour and 30 minutes"),
    ("number", KM, "90 min", "1 h 30 min"),
    ("number", KM, "2 weeks", "14 days"),
    ("number", KM, "1 year and 2 months", "14 months"),
    ("number", KM, "2 L", "2000 ml"),
    ("number", KM, "2 litres", "2 dm³"),
    ("number", KM, "100 sq ft", "100 square feet"),
    ("number", KM, "5 µm", "5 μm"),
    ("number", KM, "1 kWh", "3.6 MJ"),
    ("number", KM, "1 MB", "8 Mbit"),
    ("number", KM, "$5", "5 dollars"),
    ("number", KM, "US$5.00", "USD 5"),
    ("number", KM, r"\$5", "It costs **$5**."),
    ("number", KM, "50 cents", "$0.50"),
    ("number", KM, "3 euros and 50 cents", "€3.50"),
    ("number", KM, "$5 million", "5,000,000 dollars"),
    ("number", KM, "The answer is $5$.", "5"),
    ("number", KM, "$15 an hour", "15 dollars per hour"),
    ("number", KM, "3 pills per day", "3 times a day"),
    ("number", KM, "1 1/2", "1.5"),
    ("number", KM, "2½ cups", "2.5 cups"),
    ("number", KM, r"\boxed{1\frac{1}{2}}", "3/2"),
    ("number", KM, "2 dozen", "24"),
    ("number", KM, "5 lakh", "500,000"),
    ("number", KM, "45 %", "0.45"),
    ("number", SHARE, "45 %", "45"),
    ("number", SHARE, r"45\%", "45 percent"),
    ("number", KM, "-5 °C", "minus 5 degrees Celsius"),
    ("number", KM, "There are 3 rooms, so the total is 42.", "42"),
    ("choice", CITIES, "Paris", "A"),
    ("choice", CITIES, "B) Rome", "The answer is B"),
    ("choice", CITIES, "The answer is Rome.", "(B)"),
    ("choice", CITIES, "The answer is: **Rome**", "rome"),
    ("choice", CITIES, "The answer is a town in France", "C"),
    ("choice", CITIES, "It is a river town.\nRome", "I choose B because of the Tiber."),
    ("choice", INLINE, "12", "A"),
    ("choice", INLINE, "The answer is none of these.", "C"),
    ("json", "", '{"a": 1.0, "b": "x  y"}', '{"b": "x y", "a": 1}'),
    ("json", "", '{"a": 1e3}', '```json\n{"a": 1000}\n```'),
    ("json", "", '{"a": -0.0}', '{"a": 0}'),
    ("label", KM, r"\boxed{3\text{ km}}", r"\boxed{3000\,\mathrm{m}}"),
    ("label", KM, r"\boxed{50\%}", r"\boxed{\frac{1}{2}}"),
    ("code", "", "```python\nprint(1)\n```", "```py\n# one\nprint(1)\n\n```"),
]


@pytest.mark.parametrize(("kind", "question", "one", "other"), SAME)
def test_equal_answers_agree_however_they_are_written(
    kind: str, question: str, one: str, other: str
) -> None:
    for pair in ((one, other), (other, one)):
        found = compare(answers(*pair), kind, "a", question)
        assert found is not None
        assert found.unanimous


OTHER = [
    ("number", KM, "3 km", "3 m"),
    ("number", KM, "3 km", "3000"),
    ("number", KM, "3 m", "3 m²"),
    ("number", KM, "3 m/s", "3 m"),
    ("number", KM, "3 m/s", "3 m/h"),
    ("number", KM, "5 N m", "5 N"),
    ("number", KM, "5 mW", "5 MW"),
    ("number", KM, "5 MB", "5 Mb"),
    ("number", KM, "1 MB", "1024 kB"),
    ("number", KM, "5 KB", "5000 bytes"),
    ("number", KM, "5 pounds", "£5"),
    ("number", KM, "5 tons", "5000 kg"),
    ("number", KM, "5 °C", "41 °F"),
    ("number", KM, "20 C", "20 F"),
    ("number", KM, "5 min", "5 m"),
    ("number", KM, "1 month", "30 days"),
    ("number", KM, "$5", "€5"),
    ("number", KM, "$5", "A$5"),
    ("number", KM, "50 cents", "€0.50"),
    ("number", KM, "$5", "5 cents"),
    ("number", KM, "$5m", "$5"),
    ("number", KM, "5k", "5"),
    ("number", KM, "$15 an hour", "$15 a day"),
    ("number", KM, "3 pills per day", "3 pills per week"),
    ("number", KM, "3 times a day", "3 times a week"),
    ("number", KM, "5 dollars per kg", "5 dollars"),
    ("number", KM, "45 %", "45"),
    ("number", SHARE, "45 %", "0.45"),
    ("number", DISCOUNT, "80 %", "0.8"),
    ("number", KM, "5 %", "5 percentage points"),
    ("number", KM, "1 1/2", "11/2"),
    ("number", KM, "1 1/2", "1/2"),
    ("number", KM, "2x", "2"),
    ("number", KM, "2x + 3", "5x + 3"),
    ("number", KM, "x - 3", "3"),
    ("number", KM, "3(x+1)", "3"),
    ("number", KM, "x > 3", "x = 3"),
    ("number", KM, "at least 3", "3"),
    ("number", KM, "It is not 3.", "It is 3."),
    ("number", KM, "It isn't 3", "3"),
    ("number", KM, "5!", "5"),
    ("number", KM, "3 ± 1", "2 ± 1"),
    ("number", KM, "1, 3", "2, 3"),
    ("number", KM, "x = 3 or x = 5", "x = 2 or x = 5"),
    ("number", KM, "x = 1, y = 2", "x = 5, y = 2"),
    ("number", KM, "(3, 5)", "(4, 5)"),
    ("number", KM, "3 out of 5", "4 out of 5"),
    ("number", KM, "3 : 5", "2 : 5"),
    ("number", KM, "3 remainder 1", "4 remainder 1"),
    ("number", KM, "101 in base 2", "110 in base 2"),
    ("number", KM, "101₂", "101"),
    ("number", KM, "May 5, 2024", "June 3, 2024"),
    ("number", KM, "May 2024", "June 2024"),
    ("number", KM, "5 May", "5 June"),
    ("number", KM, "5 pm", "5 am"),
    ("number", KM, "44 BC", "44 AD"),
    ("number", KM, "45° N", "45° S"),
    ("number", KM, "42 people in 2024", "43 people in 2024"),
    ("number", KM, "42, as step 3 shows", "43, as step 3 shows"),
    ("number", KM, "1,230 to the nearest 10", "1,240 to the nearest 10"),
    ("number", KM, "3i", "3"),
    ("number", KM, "0.30000000000000004", "0.3"),
    ("choice", CITIES, "B) Paris", "B"),
    ("choice", CITIES, "It is not Paris", "A"),
    ("choice", CITIES, "D", "A"),
    ("choice", CITIES, "Paris and Rome", "Paris"),
    ("choice", "A) x B) x", "x", "A"),
    ("choice", "1. A) yes B) no\n2. A) no B) yes", "yes", "A"),
    ("json", "", '{"a": 1}', '{"a": "1"}'),
    ("json", "", '{"a": 1}', '{"a": true}'),
    ("json", "", '{"a": null}', "{}"),
    ("json", "", '{"a": [1, 2]}', '{"a": [2, 1]}'),
    ("json", "", '{"a": 1, "a": 2}', '{"a": 2}'),
    ("json", "", '{"a": 1e400}', '{"a": 1e500}'),
    ("json", "", '{"a": 9007199254740993}', '{"a": 9007199254740992.0}'),
    ("json", "", '{"a": "x"}', '{"a": "X"}'),
    ("label", KM, r"\boxed{3\text{ km}}", r"\boxed{3\text{ m}}"),
    ("label", KM, r"\boxed{3x}", r"\boxed{3}"),
    ("code", "", "```c\n#define N 3\n```", "```c\n#define N 4\n```"),
    (None, KM, "3 km", "3 m"),
    (None, KM, "5 or so", "5"),
    (None, CITIES, "Paris", "Rome"),
]


@pytest.mark.parametrize(("kind", "question", "one", "other"), OTHER)
def test_other_answers_never_agree(kind: str | None, question: str, one: str, other: str) -> None:
    for pair in ((one, other), (other, one)):
        found = compare(answers(*pair), kind, "a", question)
        assert found is None or not found.unanimous


def test_a_bare_number_goes_to_the_one_quantity_that_it_fits() -> None:
    found = compare(answers("3 km", "3", "3000 m", "4"), "number", "a")
    assert found.groups == (("a", "b", "c"), ("d",))
    found = compare(answers("3 km", "3 m", "3", "3"), "number", "a")  # which of them is not known
    assert found.groups == (("c", "d"), ("a",), ("b",))


@pytest.mark.parametrize(
    ("question", "texts", "kind"),
    [
        ("", ("42", "**42.**", "$42$"), "number"),
        ("", ("3 km", "3000 m"), "number"),
        ("", ("42", "I think 42"), "text"),
        ("", ("42", "3 or 4"), "text"),
        ("", ("B", "B) Rome"), "text"),
        (CITIES, ("B", "B) Rome", "rome"), "choice"),
        (CITIES, ("B", "The answer is B"), "text"),
        (INLINE, ("12", "A"), "choice"),
        ("", ('{"answer": 1}', '{"answer": 1.0}'), "json"),
        ("", ("```python\nprint(1)\n```",) * 2, "text"),
    ],
)
def test_what_is_compared_is_found_out_where_it_is_sure(
    question: str, texts: tuple[str, ...], kind: str
) -> None:
    assert compare(answers(*texts), None, "a", question).kind == kind


PRINTS = "Here:\n```python\n{}\n```\nDone."


def test_code_is_compared_by_what_it_prints() -> None:
    loop, product = "print(sum([42]))\n", "print(6 * 7)\n"
    silent, broken = "x = 42\n", "1 / 0\n"
    outputs = {
        loop: Ran("42 \n"),
        product: Ran("42"),
        silent: Ran(""),
        broken: Ran("42", "failed (ZeroDivisionError)"),
    }
    those = answers(*(PRINTS.format(code.strip()) for code in (loop, product, silent, broken)))
    found = compare(those, None, "a", outputs=outputs)
    assert found.kind == "code"
    assert found.groups == (("a", "b"), ("c",), ("d",))  # who prints nothing has said nothing
    assert compare(those[:2], "code", "a").groups == (("a",), ("b",))


def test_several_blocks_or_other_languages_are_not_run() -> None:
    assert python_of(PRINTS.format("print(1)")) == "print(1)\n"
    for text in (
        PRINTS.format("print(1)") * 2,
        PRINTS.format("print(1)") + "\n```\n1\n```",
        "```js\nprint(1)\n```",
        "```\nprint(1)\n```",
        "```python\nprint(1)",
        "print(1)",
    ):
        assert python_of(text) is None


def test_the_heaviest_group_leads_and_one_member_alone_never_decides() -> None:
    those, weights = answers("4", "5", "5"), {"a": 3.0, "b": 1.0, "c": 1.0}
    assert compare(those, "number", "b").groups[0] == ("b", "c")
    found = compare(those, "number", "b", weights=weights)
    assert (found.groups, found.weights) == ((("a",), ("b", "c")), (3.0, 2.0))
    assert not is_enough(found, weights)  # it has more than half, and stands alone


def test_enough_is_more_than_half_of_all_weight_that_may_vote() -> None:
    found = compare(answers("4", "4", "5"), "number", "a")
    assert is_enough(found, dict.fromkeys("abc", 1.0))
    assert not is_enough(found, dict.fromkeys("abcd", 1.0))
    assert not is_enough(found, dict.fromkeys("abc", 1.0), everybody=True)
    assert not is_enough(found, dict.fromkeys("abc", 1.0), least=3)
    assert not is_enough(found, {"a": 0.1, "b": 0.2, "c": 0.3})  # a tie, in floats too
    assert is_enough(found, {"a": 0.1, "b": 0.3, "c": 0.3})


def test_the_object_with_the_majority_of_each_field_is_found() -> None:
    those = answers('{"x": 1, "y": 2}', '{"x": 1, "y": 3}', '{"x": 0, "y": 2}')
    voted = by_fields(those, "c")
    assert (voted.nearest, voted.whole) == ("a", True)
    split = answers(
        '{"x": 1, "y": 1, "z": 0}', '{"x": 1, "y": 0, "z": 1}', '{"x": 0, "y": 1, "z": 1}'
    )
    voted = by_fields(split, "c")
    assert (voted.nearest, voted.whole) == (
        "c",
        False,
    )  # nobody has it whole: the anchor is as near
    assert by_fields(those[:2], "a") is None


def test_an_unfinished_answer_has_no_vote() -> None:
    cut = Answer(member="c", spec="x", text="4", status="cut off")
    found = compare([*answers("5", "5"), cut], "number", "a")
    assert found.groups == (("a", "b"), ("c",))


def test_the_medoid_is_most_like_the_others_and_not_the_longest() -> None:
    those = answers("the cat sat", "the cat sat down", "a cat sat", "a dog " * 50)
    assert medoid(those).member == "a"
    assert medoid(those[:2]) is None
