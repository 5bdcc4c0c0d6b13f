"""What a contender has said to a question, as the evidence counts it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from nbfuse.comparison.contenders import Contender
from nbfuse.core.types import Answer, FusionResult
from nbfuse.evaluation.arms import ungraded
from nbfuse.evaluation.questions import Question
from nbfuse.evaluation.voices import Panel


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender said to one question.

    `mark` is 0 to 1 where there is a reference. `cost` is in US dollars (None: unknown), of all
    calls; `one_cost` and `one_seconds` are those of its slowest and dearest single answer, which is
    what fusing is held against. `failure` says why there is no answer.
    """

    question: str
    contender: str
    text: str = ""
    mark: float | None = None
    seconds: float = 0.0
    cost: Decimal | None = None
    tokens: int = 0
    calls: int = 0
    one_cost: Decimal | None = None
    one_seconds: float = 0.0
    failure: str = ""

    @property
    def failed(self) -> bool:
        """Whether it has no answer."""
        return not self.text.strip()


def sample_of(
    contender: Contender, question: Question, panel: Panel | None, result: FusionResult
) -> Sample:
    """What a result comes to as a sample, without a mark; `panel` is None for a saved result."""
    calls = [*result.answers, *result.judging]
    known = [call.cost for call in calls]
    total = sum((cost for cost in known if cost is not None), Decimal(0))
    outcome = ungraded(panel, question.id, result.answers, result) if panel is not None else None
    single = [answer.cost for answer in result.answers if answer.usable]
    dear = [cost for cost in single if cost is not None]
    return Sample(
        question=question.id,
        contender=contender.name,
        text=result.text,
        seconds=outcome.seconds if outcome is not None else result.seconds,
        cost=total if None not in known else None,
        tokens=sum(call.usage.completion_tokens for call in calls if call.usage),
        calls=outcome.calls if outcome is not None else len(calls),
        one_cost=max(dear) if dear and len(dear) == len(single) else None,
        one_seconds=max((a.seconds for a in result.answers if a.usable), default=0.0),
        failure="" if result.text.strip() else _why(result.answers),
    )


def _why(answers: Sequence[Answer]) -> str:
    reasons = [answer.failure.message for answer in answers if answer.failure is not None]
    return reasons[0] if reasons else "It said nothing."
