"""Free texts that can't be compared: which of them is most like the others.

This is minimum Bayes risk with likeness as the gain: the answer that is expected to be nearest to
whichever is right (Kumar & Byrne 2004; for language models Bertsch et al. 2023, arXiv:2310.01387).
"""

from __future__ import annotations

import asyncio
import math
import operator
import re
from collections import Counter
from collections.abc import Sequence

from nbfuse.core.errors import BadResponseError, NbfuseError
from nbfuse.core.types import Answer
from nbfuse.fusion.run import Run

Vector = Sequence[float]


def medoid(answers: Sequence[Answer], vectors: Sequence[Vector] = ()) -> Answer | None:
    """The answer most like the others; None below three, where none is.

    Alike are texts whose `vectors` point the same way, by the cosine; without any, those that share
    words. Length brings nothing.
    """
    if len(answers) < 3:
        return None
    words = [Counter(re.findall(r"\w+", answer.text.casefold())) for answer in answers]

    def likeness(i: int, j: int) -> float:
        return _cosine(vectors[i], vectors[j]) if vectors else _overlap(words[i], words[j])

    everybody = range(len(answers))
    # fsum: the same numbers in another order are the same sum, and so a tie
    scores = [math.fsum(likeness(i, j) for j in everybody if j != i) for i in everybody]
    best = max(scores)
    return answers[scores.index(best)] if scores.count(best) == 1 and best > 0 else None


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    shared = sum((one & other).values())
    return 2 * shared / max(1, sum(one.values()) + sum(other.values()))


def _cosine(one: Vector, other: Vector) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(map(operator.mul, one, other)) / lengths if lengths else 0.0


async def embed(run: Run, texts: Sequence[str]) -> None:
    """Put the vectors of the texts into `run.vectors`; where they can't be had, note why."""
    embedding = run.plan.embedding
    missing = [text for text in dict.fromkeys(texts) if text not in run.vectors]
    if embedding is None or not missing:
        return
    try:
        async with asyncio.timeout(max(0.0, run.plan.pool.deadline_s - run.clock())):
            found = await embedding.provider.embed(embedding.model, missing)
        if not all(math.isfinite(math.fsum(vector)) for vector in found):
            raise BadResponseError(f"{embedding.label} gave vectors that are no numbers.")
        if len({len(vector) for vector in (*found, *run.vectors.values())}) > 1:
            raise BadResponseError(f"{embedding.label} gave vectors of different lengths.")
        run.vectors.update(zip(missing, found, strict=True))
    except TimeoutError:
        _note(run, f"{embedding.label} had no time to compare the answers before the deadline")
    except NbfuseError as error:
        _note(run, error.message)
    except Exception as error:  # a third party's provider may do anything
        _note(run, f"{embedding.label} broke: {type(error).__name__}: {error}")


def _note(run: Run, why: str) -> None:
    note = f"No likeness by embedding, but by shared words: {why.rstrip('.')}."
    if note not in run.notes:
        run.notes.append(note)
