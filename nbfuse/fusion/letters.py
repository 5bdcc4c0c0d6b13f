"""How sure a judge is of a letter that it writes, where its provider gives log-probabilities.

What counts then is their whole distribution over the letters and not the one that was sampled (the
mean of a judge's distribution beats its mode: arXiv:2503.03064).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec

from nbfuse.core.call import Call, Chunk, TokenLogprob
from nbfuse.core.types import Answer
from nbfuse.fusion.plan import Member
from nbfuse.fusion.run import Run

TOP_LOGPROBS = 20  # the most that OpenAI's servers give


class Listener:
    """Asks a judge and keeps what it weighed at each token of its last reply."""

    def __init__(self, run: Run, judge: Member, task: str) -> None:
        self._run, self._judge, self._task = run, judge, task
        self._tokens: list[TokenLogprob] = []

    async def ask(self, call: Call) -> Answer:
        """The judge's answer; raises a `ModelError`."""
        self._tokens.clear()  # those of a reply that could not be used
        if "top_logprobs" in self._judge.info.parameters:
            call = msgspec.structs.replace(call, top_logprobs=TOP_LOGPROBS)
        return await self._run.ask(self._judge, self._task, call, self._heard)

    def shares(self, key: str, letters: Sequence[str], chosen: str) -> dict[str, float] | None:
        """As `letter_shares` of the last reply."""
        return letter_shares(self._tokens, key, letters, chosen)

    def _heard(self, chunk: Chunk) -> None:
        self._tokens.extend(chunk.logprobs)


def letter_shares(
    tokens: Sequence[TokenLogprob], key: str, letters: Sequence[str], chosen: str
) -> dict[str, float] | None:
    """P(letter) over `letters`, from the token that says which stands at `key`; None without one.

    The letter may share its token with the quotation mark before or after it.
    """
    text = "".join(token.token for token in tokens)
    places = [found.end() for found in re.finditer(rf'"{key}"\s*:\s*"', text)]
    if not places or not text.startswith(chosen, places[-1]):
        return None
    reached = 0
    for token in tokens:
        reached += len(token.token)
        if reached > places[-1]:
            break
    mass = dict.fromkeys(letters, 0.0)
    for alternative, logprob in token.top:
        letter = alternative.strip().strip('"').strip()
        if letter in mass:
            mass[letter] += math.exp(logprob)
    total = sum(mass.values())
    return {letter: one / total for letter, one in mass.items()} if total > 0 else None
