"""Reads a table of questions with reference answers: CSV, JSON lines, dicts or a DataFrame.

Whatever is wrong with it is said before anybody is asked.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.pool import ANSWER_KINDS
from nbfuse.core.types import AnswerKind
from nbfuse.tables import QUESTION, REFERENCE, Row, rows_of

MOST_NAMED = 5  # of what is wrong, in one message


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question and what the answer should come to; `kind` is how that is compared."""

    id: str
    text: str
    reference: str = ""
    kind: AnswerKind | None = None

    @property
    def called(self) -> str:
        """What it is called to the user, who may have given it no id."""
        return f"{self.text[:60]!r}" if self.id == digest(self.text) else f"Question {self.id}"


class Asked(NamedTuple):
    """A question, and the row that it stood in, which a grader gets to see."""

    question: Question
    row: Row


def read_questions(source: object, *, graded: bool) -> tuple[Asked, ...]:
    """The questions in `source`; raises `ConfigError` for a table that can't be used.

    A column `reference` (or `answer`, `expected`) is required unless a grader does without
    (`graded`). Without a column `id` a question is known by a hash of its text.
    """
    rows = rows_of(source)
    if not rows:
        raise ConfigError("There are no questions.", "Give a table with at least one row.")
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    plain = {name.strip().casefold(): name for name in reversed(names)}
    asked = _column(plain, QUESTION)
    if asked is None:
        raise _missing("question", names)
    reference = _column(plain, REFERENCE)
    if reference is None and not graded:
        raise _missing("reference", names)
    found = [
        Asked(_question(row, i, asked, reference, plain), row) for i, row in enumerate(rows, 1)
    ]
    _check_ids(found, "id" in plain)
    if not graded:
        empty = [one.question.id for one in found if not one.question.reference]
        if empty:
            raise ConfigError(
                f"{_count(empty, 'question')} without a reference: {_some(empty)}.",
                "Fill them in, take them out, or give a grading function.",
            )
    return tuple(found)


def _column(plain: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((plain[name] for name in names if name in plain), None)


def _missing(what: str, names: Sequence[str]) -> ConfigError:
    near = difflib.get_close_matches(what, names, n=1, cutoff=0.5)
    hint = f"Rename {near[0]} to {what}." if near else f"Name one of them {what}."
    if what == "reference":
        hint += " Or give a grading function."
    return ConfigError(f"The table has no column {what}; it has {', '.join(names)}.", hint)


def _question(
    row: Row, number: int, asked: str, reference: str | None, plain: Mapping[str, str]
) -> Question:
    text = _text(row.get(asked))
    if not text:
        raise ConfigError(f"Row {number} has no question.", "Fill it in, or take the row out.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"The question in row {number} holds half a character at position {error.start}.",
            "Take it out, or read its source with errors='replace'.",
        ) from error
    kind = _text(row.get(plain["kind"])).casefold() if "kind" in plain else ""
    known = next((one for one in ANSWER_KINDS if one == kind), None)
    if kind and known is None:
        raise ConfigError(
            f"Row {number}: kind can't be {kind!r}.", did_you_mean(kind, ANSWER_KINDS)
        )
    name = _text(row.get(plain["id"])) if "id" in plain else digest(text)
    if not name:
        raise ConfigError(f"Row {number} has no id.", "Fill it in, or take the column out.")
    return Question(
        id=name,
        text=text,
        reference=_text(row.get(reference)) if reference is not None else "",
        kind=known,
    )


def digest(*texts: str) -> str:
    """Twelve hexadecimal digits that stand for these texts."""
    return hashlib.sha256("\x00".join(texts).encode()).hexdigest()[:12]


def _text(value: object) -> str:
    """A cell as text; "" for what is missing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _check_ids(found: Sequence[Asked], named: bool) -> None:
    counts = Counter(one.question.id for one in found)
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled and named:
        raise ConfigError(
            f"{_count(doubled, 'id')} more than once: {_some(doubled)}.",
            "Give each question an id of its own.",
        )
    if doubled:  # to count one twice would make the result look surer than it is
        texts = [
            next(one.question.text for one in found if one.question.id == name) for name in doubled
        ]
        raise ConfigError(
            f"{_count(doubled, 'question')} more than once: {_some(map(repr, texts))}.",
            "Take the copies out, or add a column id where they are meant.",
        )


def _count(those: Sequence[str], what: str) -> str:
    return f"1 {what} stands" if len(those) == 1 else f"{len(those)} {what}s stand"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + rest
