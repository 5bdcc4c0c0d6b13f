"""Every answer side by side, the worst cases first."""

from __future__ import annotations

from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.marked import marked
from nbfuse.comparison.pricing import dollars
from nbfuse.comparison.samples import Sample
from nbfuse.evaluation.grading import RIGHT
from nbfuse.evaluation.questions import Question
from nbfuse.render.model import say
from nbfuse.render.table import seconds

# of what a notebook shows, which keeps all of it: questions, and characters of an answer
MOST_SHOWN, LONGEST = 20, 4000
MOST_OF_A_QUESTION = 90  # characters in its heading
# side by side where there is room, else one under the other; without styles that, too
ROW = "display:flex;flex-wrap:wrap;gap:1em"
CARD = "flex:1 1 16em;min-width:0"
TEXT = "white-space:pre-wrap;overflow-wrap:anywhere"


def answers(found: Comparison, whole: bool) -> str:
    """The questions in the order in which they tell most; `whole` all of them, and uncut."""
    shown = found.questions[: None if whole else MOST_SHOWN]
    by_question: dict[str, list[Sample]] = {question.id: [] for question in found.questions}
    for sample in found.samples:
        by_question[sample.question].append(sample)
    free = {side.name for side in found.sides if side.local}
    parts = [_question(question, by_question[question.id], free, whole) for question in shown]
    rest = len(found.questions) - len(shown)
    if rest:
        parts.append(
            f"<p><small>{rest} more: comparison.save('page.html') has them all.</small></p>"
        )
    return "\n".join(parts)


def _question(question: Question, samples: list[Sample], free: set[str], whole: bool) -> str:
    text = " ".join(question.text.split())
    brief = text if len(text) <= MOST_OF_A_QUESTION else f"{text[:MOST_OF_A_QUESTION]} …"
    asked = f'<p style="{TEXT}">{say(question.text)}</p>' if brief != text else ""
    if question.reference:
        asked += f"<p><small>Reference: {say(question.reference)}</small></p>"
    first = next((one.text for one in samples if not one.failed), None)
    cards = "".join(_card(one, first, one.contender in free, whole) for one in samples)
    title = f"<summary>{say(brief)} · {say(_state(samples))}</summary>"
    return f'<details>{title}{asked}<div style="{ROW}">{cards}</div></details>'


def _card(sample: Sample, first: str | None, free: bool, whole: bool) -> str:
    figures = [seconds(sample.seconds), *([] if free else [dollars(sample.cost)])]
    if sample.mark is not None:
        figures.insert(0, "right" if sample.mark >= RIGHT else "wrong")
    body = f"<em>{say(sample.failure)}</em>"
    if not sample.failed:
        text = sample.text if whole else sample.text[:LONGEST]
        body = marked(text, first if sample.text != first else None)
        if len(text) < len(sample.text):
            body += f" … <small>{len(sample.text) - len(text):,} characters more</small>"
    return (
        f'<div style="{CARD}"><p><strong>{say(sample.contender)}</strong> '
        f'<small>{say(" · ".join(figures))}</small></p><p style="{TEXT}">{body}</p></div>'
    )


def _state(samples: list[Sample]) -> str:
    failed = sum(one.failed for one in samples)
    if failed:
        return f"{failed} of {len(samples)} failed"
    marks = [one.mark for one in samples if one.mark is not None]
    if marks:
        right = sum(mark >= RIGHT for mark in marks)
        return f"{right} of {len(marks)} right"
    same = len({" ".join(one.text.split()) for one in samples}) == 1
    return "the same words" if same else "different words"
