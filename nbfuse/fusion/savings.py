"""What it saves that some members need not answer, in a sentence: an estimate, not a bill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from nbfuse.core.types import Answer
from nbfuse.fusion.plan import Member
from nbfuse.fusion.price import tokens_in
from nbfuse.fusion.run import Run


def note_saved(
    run: Run, agreeing: int, spared: Sequence[Member], answers: Mapping[str, Answer]
) -> None:
    """Note what it saves that `spared` were stopped or not asked, since `agreeing` others agree.

    Each is taken to have written as much as those did on average who had ended.
    """
    names = {member.label for member in spared}
    lengths = [_tokens(answer) for name, answer in answers.items() if name not in names]
    typical = round(sum(lengths) / len(lengths))
    tokens, dollars = 0, Decimal(0)
    for member in spared:
        begun = answers.get(member.label)
        left = max(0, typical - (_tokens(begun) if begun is not None else 0))
        tokens += left
        if not member.provider.local:
            dollars += left * (member.info.completion_price or 0)
            reads = 0 if begun is not None else tokens_in(run.plan.prompt)
            dollars += reads * (member.info.prompt_price or 0)
    run.spared = len(spared)
    what = "stopped" if any(name in answers for name in names) else "not asked"
    run.notes.append(
        f"{agreeing} of {len(run.plan.members)} agree, so "
        f"{', '.join(member.label for member in spared)} {'was' if len(spared) == 1 else 'were'} "
        f"{what}: about {tokens:,} token{'s' * (tokens != 1)}"
        f"{f' or ${dollars:.4f}' if dollars else ''} saved."
    )


def _tokens(answer: Answer) -> int:
    if answer.usage is not None:
        return answer.usage.completion_tokens
    return tokens_in(answer.text + answer.reasoning)
