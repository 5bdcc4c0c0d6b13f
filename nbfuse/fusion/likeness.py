"""Free texts that can't be compared: which of them is most like the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from nbfuse.core.types import Answer


def medoid(answers: Sequence[Answer]) -> Answer | None:
    """The answer most like the others by shared words; None below three, where none is.

    Minimum Bayes risk with token overlap, for when no judge can be had. Length brings nothing.
    """
    if len(answers) < 3:
        return None
    words = [Counter(re.findall(r"\w+", answer.text.casefold())) for answer in answers]

    def likeness(i: int) -> float:
        return sum(_overlap(words[i], words[j]) for j in range(len(words)) if j != i)

    scores = [likeness(i) for i in range(len(answers))]
    best = max(scores)
    return answers[scores.index(best)] if scores.count(best) == 1 and best > 0 else None


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    shared = sum((one & other).values())
    return 2 * shared / max(1, sum(one.values()) + sum(other.values()))
