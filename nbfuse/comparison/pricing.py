"""What a contender costs: by its list, as measured, by the month, and beside one call.

Unknown is unknown and never 0. Local models have memory, disk and seconds in place of dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from nbfuse.comparison.contenders import Contender
from nbfuse.comparison.evidence import Figures
from nbfuse.comparison.models import ModelFacts, size
from nbfuse.core.pool import expand

RULE_OF_THUMB = "2 to 4 ×"  # what one call costs, which fusing is said to
UNKNOWN = "not known"


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """What a contender costs: a question as measured, judge and retries in it, and a month of them.

    `overhead` and `slowdown` are in times of its dearest and slowest single call, None for a model
    alone and where a price is not known. `local` tells that nothing is billed, and a question costs
    `seconds` of this machine instead.
    """

    contender: str
    entry: str
    question: Decimal | None = None
    month: Decimal | None = None
    monthly: int | None = None
    overhead: float | None = None
    slowdown: float | None = None
    local: bool = False
    seconds: float | None = None
    weights: str = ""


def pricing(
    contender: Contender, models: Sequence[ModelFacts], figures: Figures, monthly: int | None
) -> Pricing:
    """The pricing read of a contender; `monthly` is how many questions a month has, if known."""
    question = figures.cost
    several = len(expand(contender.pool.members)) > 1
    entries = dict.fromkeys(model.entry for model in models)
    return Pricing(
        contender=contender.name,
        entry="; ".join(entries) or UNKNOWN,
        question=question,
        month=None if question is None or monthly is None else question * monthly,
        monthly=monthly,
        overhead=figures.overhead if several and figures.cost is not None else None,
        slowdown=figures.slowdown if several else None,
        local=all(model.local for model in models),
        seconds=figures.mean_s,
        weights=size(models),
    )


def dollars(cost: Decimal | None) -> str:
    """US dollars with as many digits as tell something."""
    if cost is None:
        return UNKNOWN
    if cost == 0:
        return "$0"
    digits = max(2, 1 - cost.adjusted())
    return f"${cost:.{digits}f}"
