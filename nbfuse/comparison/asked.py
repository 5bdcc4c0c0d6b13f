"""What contenders are asked: the user's questions, or the prompts of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence

from nbfuse.comparison.contenders import Contender
from nbfuse.core.errors import ConfigError
from nbfuse.evaluation.grading import Grade, check_references
from nbfuse.evaluation.questions import Asked, read_questions
from nbfuse.ledger.earlier import Earlier

MOST_PROMPTS = 20  # of the history: what was asked last


def read_asked(
    source: object, contenders: Sequence[Contender], earlier: Earlier | None, grade: Grade | None
) -> tuple[tuple[Asked, ...], str]:
    """The questions, and a line on where they are from, where the user did not say.

    None takes those of the results that are compared, else those of the history. References may be
    there for all, for some, or for none. Raises `ConfigError`.
    """
    results = {one.result.prompt for one in contenders if one.result is not None}
    if len(results) > 1:
        raise ConfigError(
            "The results are of different questions.", "Compare results of one question."
        )
    if results and source is not None:
        raise ConfigError(
            "A saved result has answered its own question.",
            "Leave the questions out, or compare its models and pools.",
        )
    note = ""
    if results:
        source = list(results)
    elif source is None:
        source = earlier.prompts(MOST_PROMPTS) if earlier is not None else []
        note = f"Asked are your last {len(source)} prompts, from the history."
        if not source:
            raise ConfigError(
                "There are no questions, and no earlier prompts in the history.",
                "Give some: a list or a table in Python, --on FILE or --on NAME elsewhere.",
            )
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        texts = [one for one in source if isinstance(one, str)]
        if texts and len(texts) == len(source):
            source = [{"question": text} for text in texts]
    asked = read_questions(source, graded=True)
    if grade is None:
        check_references([one for one in asked if one.question.reference], None)
    return asked, note
