"""What a run may cost, before it does: in tokens, which nobody has counted yet, and in dollars."""

from __future__ import annotations

import math
import typing
from decimal import Decimal

from nbfuse.core.types import Price

if typing.TYPE_CHECKING:
    from nbfuse.fusion.plan import Plan

# Tokens of an answer for the estimate: a short one, and a long one where no limit is set.
SHORT_ANSWER, LONG_ANSWER = 150, 1500
# What the judge writes: at most in a verdict; low and high in an analysis or a merged answer.
VERDICT, MERGE_WRITES = 600, (500, 2500)
CHARACTERS_PER_TOKEN = 4
MOST_ROUNDS = 2  # of a debate
ASKED_FIRST = 2  # members, in mode auto
PICTURE = 1500  # tokens of a picture, of which each vendor has its own count


def tokens_in(text: str) -> int:
    """About how many tokens a text has, where no tokenizer is at hand."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def estimate(plan: Plan, checks: bool) -> Price:
    """Members read the prompt; the judge reads it too, with every answer, and writes.

    The high end is with the `checks` that a run makes only if it can afford them, or without.
    """
    asked = tokens_in(plan.prompt) + tokens_in(plan.pool.system or "")
    asked += PICTURE * len(plan.images)
    short, long = SHORT_ANSWER, plan.pool.max_tokens or LONG_ANSWER
    short, count = min(short, long), len(plan.members)
    judge_low, judge_high = MERGE_WRITES
    sure = [plan.members[place] for place in plan.order]
    if plan.pool.mode == "auto":  # the others are asked only if these disagree
        sure = sure[:ASKED_FIRST]
    bills = [
        (m, asked if m in sure else 0, short if m in sure else 0, asked, long)
        for m in plan.members
        if m.label not in plan.given
    ]
    if plan.schema is not None and checks:  # what does not obey is asked for once more
        bills += [(m, 0, 0, asked + long, long) for m, *_ in bills]
    alone = count == 1 and not plan.pool.check  # whom nobody judges
    if (
        plan.pool.mode == "debate" and not alone
    ):  # in each round everybody reads the others and answers again
        again = [(m, 0, 0, asked + count * long, long) for m in plan.members]
        bills += again * (1 + checks * (MOST_ROUNDS - 1))
    judge_reads = asked + count * long
    judges = () if alone else (plan.judge, plan.judges[-1])
    comparisons = [(judge, 0, 0, judge_reads, VERDICT) for judge in judges]
    if (
        plan.pool.mode == "merge" and not alone
    ):  # analysis and writing, and a comparison as the check
        bills.append((plan.judge, asked + count * short, judge_low, judge_reads, judge_high))
        bills.append((plan.judge, 0, 0, judge_reads, judge_high))
        bills += comparisons if checks else []
    else:  # a comparison of all, and one of two as the check
        bills += comparisons * (1 + checks)
    low, high = Decimal(0), Decimal(0)
    for member, low_in, low_out, high_in, high_out in bills:
        info = member.info
        if member.provider.local:
            continue
        if info.prompt_price is None or info.completion_price is None:
            return Price(None, None)
        low += low_in * info.prompt_price + low_out * info.completion_price
        high += high_in * info.prompt_price + high_out * info.completion_price
    return Price(low, high)
