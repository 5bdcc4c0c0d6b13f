"""The figures of a result as rows of short strings, the same for every form of output."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from nbfuse.core.clean import clean
from nbfuse.core.types import Answer, FusionResult, Score, ToolCall, Verdict

HEADS = ("model", "time", "tokens", "price", "verdict")
MOST_OF_A_CALL = 300  # characters


class Row(NamedTuple):
    """One model's line of the table."""

    model: str
    time: str
    tokens: str
    price: str
    verdict: str


def rows(result: FusionResult) -> list[Row]:
    """One row for each member, one for the judge where it was asked, and one for the whole."""
    table = [_row(answer, _member_verdict(answer, result)) for answer in result.answers]
    by_name: dict[str, list[Answer]] = {}
    for call in result.judging:
        by_name.setdefault(call.member, []).append(call)
    members = [answer.member for answer in result.answers]
    order = [name for name in members if name in by_name]  # replies of a debate end in any order
    order += [name for name in by_name if name not in members]
    for name in order:
        work = "replying" if result.positions and name in members else "judging"
        table.append(_sum(name, by_name[name], work))
    figures = (seconds(result.seconds), str(result.tokens), price(result.cost))
    return [*table, Row("all", *figures, headline(result))]


def _row(answer: Answer, verdict: str) -> Row:
    tokens = str(answer.usage.completion_tokens) if answer.usage else "?"
    paid = price(answer.cost) + (" before" if answer.earlier else "")
    return Row(answer.member, seconds(answer.seconds), tokens, paid, verdict)


def _sum(name: str, calls: list[Answer], work: str) -> Row:
    costs = [call.cost for call in calls]
    known = [cost for cost in costs if cost is not None]
    failed = next((call.failure for call in calls if call.failure is not None), None)
    times = f"{len(calls)} calls" if len(calls) > 1 else "1 call"
    return Row(
        name,
        seconds(sum(call.seconds for call in calls)),
        str(sum(call.usage.completion_tokens for call in calls if call.usage)),
        price(sum(known, Decimal(0)) if len(known) == len(costs) else None),
        clean(f"{work}: {failed.message}") if failed else f"{work}, {times}",
    )


def _member_verdict(answer: Answer, result: FusionResult) -> str:
    verdict, words = result.verdict, []
    if answer.member == verdict.best and not verdict.parts:
        words.append("best")
    words += [f"part {i}" for i, best in enumerate(verdict.parts, 1) if best == answer.member]
    several = len(verdict.parts) > 1
    words += [_marks(score, several) for score in verdict.scores if score.member == answer.member]
    if not answer.judged:
        words.append("late, not judged")
    if answer.failure is not None:
        words.append(clean(answer.failure.message))
    elif answer.status != "complete":
        words.append(answer.status)
    return ", ".join(words)


def _marks(score: Score, several: bool) -> str:
    if score.p_right is not None:
        what = f"part {score.part + 1} right" if several else "right"
        return f"P({what}) {score.p_right:.2f}"
    return f"correct {score.correctness}/4"


def headline(result: FusionResult) -> str:
    """In a few words: how the fused answer came about."""
    verdict = result.verdict
    source = ", ".join(filter(None, dict.fromkeys(verdict.parts))) or verdict.best
    said: str = result.mode
    if verdict.decided_by != result.mode:
        said += f": {verdict.decided_by}"
    if source:
        said += f", {source}"
    return said if result.status != "stopped" else "stopped"


def sureness(verdict: Verdict) -> str:
    """A sentence on how much to trust the verdict."""
    if verdict.decided_by == "you":
        return "How much to trust it, you know best."
    said = f"Confidence {verdict.confidence}"
    if verdict.accuracy is not None:
        said += (
            f": right on {verdict.accuracy:.0%} of {verdict.accuracy_of} questions of yours "
            "on which members agreed like this"
        )
    if verdict.none_acceptable:
        said += (
            "; the judge finds no answer acceptable"
            if not verdict.parts
            else ("; the judge finds no acceptable answer to some part")
        )
    return f"{said}."


def seconds(value: float) -> str:
    """A duration for people."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def price(cost: Decimal | None) -> str:
    """US dollars for people; a question mark for unknown."""
    if cost is None:
        return "?"
    return f"${cost:.4f}" if cost else "$0"


def called(call: ToolCall) -> str:
    """A call of a tool and what it gave, on one line of a bearable length."""
    text = " ".join(f"called {call}".split())
    return text if len(text) <= MOST_OF_A_CALL else f"{text[:MOST_OF_A_CALL]} …"
