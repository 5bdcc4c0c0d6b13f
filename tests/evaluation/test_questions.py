"""Tables of questions: what is read, and what is refused before anybody is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import polars
import pytest

from nbfuse.core.errors import ConfigError
from nbfuse.evaluation.questions import Question, digest, read_questions

ROWS = [
    {"id": 1, "question": "What is 1 + 1?", "reference": 2},
    {"id": 2, "question": "Capital of France, in a word?", "reference": "Paris"},
]


def read(source: object, graded: bool = False) -> list[Question]:
    return [asked.question for asked in read_questions(source, graded=graded)]


def as_csv(path: Path) -> Path:
    path.write_text(
        'id;question;reference\n1;What is 1 + 1?;2\n2;"Capital of France, in a word?";Paris\n'
    )
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize(
    "source",
    [
        lambda _: ROWS,
        lambda _: polars.DataFrame([{**r, "reference": str(r["reference"])} for r in ROWS]),
        lambda _: pandas.DataFrame(ROWS),
        lambda folder: as_csv(folder / "q.csv"),
        lambda folder: str(as_jsonl(folder / "q.jsonl")),
        lambda folder: as_jsonl(folder / "without_suffix"),
    ],
    ids=["dicts", "polars", "pandas", "csv", "jsonl", "jsonl-by-content"],
)
def test_every_form_of_table_gives_the_same_questions(source: object, tmp_path: Path) -> None:
    assert read(source(tmp_path)) == [
        Question(id="1", text="What is 1 + 1?", reference="2"),
        Question(id="2", text="Capital of France, in a word?", reference="Paris"),
    ]


def test_other_names_of_columns_are_known() -> None:
    for reference in ("answer", "expected", "Reference "):
        (found,) = read([{"prompt": "q", reference: "a", "kind": "Label"}])
        assert (found.reference, found.kind) == ("a", "label")
        assert found.id == digest("q")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no questions"),
        ([{"question": "q", "refrence": "a"}], "no column reference; it has question, refrence"),
        ([{"question": "q", "refrence": "a"}], "Rename refrence to reference"),
        ([{"qestion": "q", "reference": "a"}], "Rename qestion to question"),
        ([{"id": 1, "question": "q", "reference": "a"}] * 2, "1 id stands more than once: 1"),
        ([{"question": "q", "reference": "a"}] * 2, "1 question stands more than once: 'q'"),
        ([{"question": " ", "reference": "a"}], "Row 1 has no question"),
        ([{"question": "q", "reference": None}], "without a reference"),
        ([{"question": "q", "reference": float("nan")}], "without a reference"),
        ([{"question": "q", "reference": 1, "kind": "numbr"}], "Did you mean number"),
        ([{"question": "q\ud800", "reference": 1}], "half a character"),
        ([{"id": "", "question": "q", "reference": 1}], "no id"),
        ([1, 2], "have no names"),
        (42, "int is no table"),
    ],
)
def test_what_is_wrong_is_said(rows: object, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(rows)
    assert said in str(error.value)


def test_doubled_ids_are_named_but_not_all_of_a_thousand() -> None:
    rows = [{"id": i // 2, "question": f"q{i}", "reference": 1} for i in range(2000)]
    with pytest.raises(ConfigError) as error:
        read(rows)
    assert "1000 ids stand more than once: 0, 1, 2, 3, 4 and 995 more." in str(error.value)


def test_with_a_grader_no_reference_is_needed() -> None:
    assert read([{"question": "q"}], graded=True)[0].reference == ""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.csv", None, "can't be read"),
        ("q.csv", b"\xff\xfe\x00", "can't be read"),
        ("q.csv", b"question,reference\na,b,c\n", "row 1 has more fields"),
        ("q.csv", b'question,reference\n"a,b\n', "line 2"),
        ("q.csv", b"question,reference\n", "no questions"),
        ("q.jsonl", b'{"question": "q", "reference": 1}\n{"question"\n', "line 2"),
        ("q.jsonl", b"[1]\n", "line 1: Expected `object`"),
    ],
)
def test_files_that_cannot_be_read_are_named(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read(tmp_path / name)
    assert said in str(error.value)
