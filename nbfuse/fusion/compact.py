"""The compact judge: for each candidate one short question, and P(yes) read from one token.

For models too small for a rubric: asked for a letter, a 135M model chose A in 98 of 100, and a tiny
one did not learn it at all. One candidate a call has no order to be swayed by.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from nbfuse.core.call import Call, Chunk, Message, TokenLogprob
from nbfuse.core.errors import BadResponseError, ContextTooLongError, ModelError
from nbfuse.fusion.plan import Member
from nbfuse.fusion.run import Draft, Run

ACCEPTABLE = 0.5  # P(right) that counts as right
TOP_LOGPROBS = 40  # enough to find "yes" and "no" below what a model would rather say
WORDS = ("yes", "no")


async def p_right_of_all(
    run: Run,
    judge: Member,
    task: str,
    pairs: Sequence[tuple[str, str]],
    end: float | None = None,
) -> list[float]:
    """How probable `judge` finds it that each (question, answer) is right, 0 to 1.

    All are asked at once; an answer too long for the judge counts as 0. Raises the first
    `ModelError` of another kind.
    """
    async with run.answering(judge, task, end) as draft:
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(_p_right(run, judge, draft, q, a)) for q, a in pairs]
        except* ModelError as failed:
            raise failed.exceptions[0] from None
        found = [task.result() for task in asked]
        draft.conclude("P(right): " + ", ".join(f"{p:.2f}" for p in found))
    return found


async def _p_right(run: Run, judge: Member, draft: Draft, question: str, answer: str) -> float:
    asked = judge.info.check.format(question=question.strip(), answer=answer.strip())
    call = Call(
        model=judge.model,
        messages=(Message("user", asked),),
        temperature=0.0,
        max_tokens=1,
        top_logprobs=TOP_LOGPROBS,
    )
    tokens: list[TokenLogprob] = []

    def heard(chunk: Chunk) -> None:
        tokens.extend(chunk.logprobs)

    try:
        await run.stream(judge, call, draft, heard)
    except ContextTooLongError:
        return 0.0
    if not tokens:
        raise BadResponseError(
            f"The judge {judge.label} gave no log-probabilities.",
            "A compact judge needs them: choose another.",
        )
    return share_of_yes(tokens[0])


def share_of_yes(token: TokenLogprob) -> float:
    """P(yes) against P(no) among the likeliest first tokens, whole words or their beginnings."""
    mass = dict.fromkeys(WORDS, 0.0)
    for text, logprob in token.top or ((token.token, token.logprob),):
        start = text.strip().lower()
        for word in WORDS:
            if start and word.startswith(start):
                mass[word] += math.exp(logprob)
    total = sum(mass.values())
    return mass["yes"] / total if total > 0 else 0.5
