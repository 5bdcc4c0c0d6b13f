"""Marks answers: by their canonical form against the reference's, or by the user's own function.

A grader that raises costs its question its place in the comparison, and nothing else.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence

from nbfuse.core.errors import ConfigError
from nbfuse.core.types import Answer, AnswerKind
from nbfuse.evaluation.questions import Asked, Question
from nbfuse.fusion.agreement import compare
from nbfuse.fusion.numbers import bare_quantity

Grade = Callable[[str, Mapping[str, object]], object]

RIGHT = 0.5  # a mark from which an answer counts as right, where it must be one or the other
LONGEST_LABEL = 80  # characters


def kind_of(question: Question, pools_answer: AnswerKind | None) -> AnswerKind:
    """How answers to `question` are compared: its own kind, a pool's, or what its reference is."""
    return question.kind or pools_answer or _sniff(question.reference)


def _sniff(reference: str) -> AnswerKind:
    bare = reference.strip()
    if bare_quantity(bare) is not None or re.fullmatch(r"\\boxed\{[-−]?[\d.,/]+\}", bare):
        return "number"
    if re.fullmatch(r"\(?[A-H]\)?", bare):
        return "choice"
    if "```" in reference:
        return "code"
    if bare[:1] in ("{", "["):
        try:
            json.loads(reference)
        except (ValueError, RecursionError):
            return "text"
        return "json"
    return "label" if "\n" not in reference and len(reference) <= LONGEST_LABEL else "text"


def _is_right(text: str, question: Question, kind: AnswerKind) -> bool:
    """Whether an answer agrees with the reference, as members of a pool agree with each other.

    A marked label keeps its capitals, a bare one does not.
    """
    forms = [question.reference]
    if kind == "label":
        forms.append(f"\\boxed{{{question.reference}}}")
    return any(_agree(text, form, question, kind) for form in forms)


def _agree(text: str, reference: str, question: Question, kind: AnswerKind) -> bool:
    both = [
        Answer(member=name, spec="", text=said)
        for name, said in zip("ar", (text, reference), strict=True)
    ]
    found = compare(both, kind, "", question.text)
    return found is not None and len(found.groups[0]) == len(both)


def check_references(asked: Sequence[Asked], pools_answer: AnswerKind | None) -> None:
    """Raise `ConfigError` where a reference is not of the kind that it is compared as."""
    for question, _ in asked:
        kind = kind_of(question, pools_answer)
        if not _is_right(question.reference, question, kind):
            raise ConfigError(
                f"{question.called}: its reference {question.reference!r} is no {kind}.",
                "Mend it, give it another kind, or give a grading function.",
            )


class Marks:
    """The marks of answers, 0 to 1, each text of a question being graded once.

    `troubles` says of each question that could not be graded what its grader raised.
    """

    def __init__(
        self, asked: Sequence[Asked], grade: Grade | None, pools_answer: AnswerKind | None
    ) -> None:
        self.troubles: dict[str, str] = {}
        self._grade, self._rows = grade, {one.question.id: one for one in asked}
        self._kind = pools_answer
        self._marks: dict[tuple[str, str], float] = {}

    def kind(self, question: Question) -> AnswerKind:
        """How answers to a question are compared."""
        return kind_of(question, self._kind)

    async def grade(self, name: str, texts: Sequence[str]) -> None:
        """Grade the answers to the question called `name`, those that have not been."""
        for text in dict.fromkeys(texts):
            if text.strip() and (name, text) not in self._marks:
                try:
                    self._marks[name, text] = await self._mark(name, text)
                except Exception as error:  # the user's own code
                    self.troubles.setdefault(name, f"{type(error).__name__}: {error}")

    def of(self, name: str, text: str) -> float | None:
        """The mark of an answer, None where its question could not be graded; silence gets 0."""
        if name in self.troubles:
            return None
        return self._marks[name, text] if text.strip() else 0.0

    async def _mark(self, name: str, text: str) -> float:
        question, row = self._rows[name]
        if self._grade is None:
            kind = self.kind(question)
            return float(_is_right(text, question, kind))
        said = self._grade(text, row)
        if inspect.isawaitable(said):
            said = await said
        try:
            mark = float("nan") if isinstance(said, str) else float(said)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            mark = float("nan")
        if not 0 <= mark <= 1:
            raise ValueError(f"the grader gave {said!r}, neither True or False nor 0 to 1")
        return mark
