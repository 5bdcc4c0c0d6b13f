"""Reviews by a judge too small to write: marks alone, from the one question that it can answer.

It can take no point of view. Each reviewer reads the answers to one question, as far as two calls
for each reviewer go, and its mark is how probable the judge finds them right.
"""

from __future__ import annotations

import asyncio

from nbfuse.comparison.dossier import CONTROL, Dossier, Exhibit
from nbfuse.comparison.review import DEADLINE_S
from nbfuse.comparison.reviewers import Reviewer
from nbfuse.comparison.take import MOST_MARK, SHIPS_CONTROL, Bias, Reviewed, Take, untaken
from nbfuse.core.pool import Pool, labels
from nbfuse.core.request import Request
from nbfuse.core.types import Answer
from nbfuse.evaluation.asking import Asking
from nbfuse.evaluation.questions import Question
from nbfuse.fusion.compact import ACCEPTABLE

CALLS = 2  # for each reviewer
NAME = "review"  # under which what it says is kept
NO_FIGURES = "The judge is too small to read figures, and this reviewer sees no answers."
NO_CALL = "No call is left for it: the judge reads one answer a call, two for each reviewer."


def compact_pool(judge: str, local_only: bool) -> Pool:
    """How such a judge is asked about one answer, which is given."""
    return Pool(
        members=(judge,),
        judge=judge,
        check=True,
        deadline_s=DEADLINE_S,
        local_only=local_only,
        name=NAME,
    )


def readable(reviewers: int, exhibits: int, questions: int) -> int:
    """The answers to how many questions so many reviewers can have read."""
    return min(CALLS * reviewers // exhibits, questions)


async def compact_review(
    asking: Asking, pool: Pool, reviewers: list[Reviewer], dossier: Dossier
) -> list[Reviewed]:
    """What every reviewer makes of every contender, with two calls for each reviewer at most."""
    count = readable(len(reviewers), len(dossier.exhibits), len(dossier.shown))
    chosen = dossier.shown[:count]
    read = await asyncio.gather(*(_read(asking, pool, dossier, one) for one in chosen))
    made = []
    names = [shown.name for shown in dossier.exhibits if shown.name != CONTROL]
    left = list(zip(chosen, read, strict=True))
    for reviewer in reviewers:
        if "answers" not in reviewer.sees:
            made.append(untaken(reviewer.name, names, NO_FIGURES))
        elif not left:
            made.append(untaken(reviewer.name, names, NO_CALL))
        else:
            question, found = left.pop(0)
            if isinstance(found, str):
                made.append(untaken(reviewer.name, names, found))
            else:
                made.append(_reviewed(reviewer, question, found))
    return made


async def _read(
    asking: Asking, pool: Pool, dossier: Dossier, question: Question
) -> dict[str, float] | str:
    """How probable it is that each contender's answer is right; why that can't be told."""
    found = await asyncio.gather(
        *(_p_right(asking, pool, question, one) for one in dossier.exhibits)
    )
    troubles = [one for one in found if isinstance(one, str)]
    if troubles:
        return troubles[0]
    return {
        shown.name: p
        for shown, p in zip(dossier.exhibits, found, strict=True)
        if isinstance(p, float)
    }


async def _p_right(asking: Asking, pool: Pool, question: Question, shown: Exhibit) -> float | str:
    said = shown.answers.get(question.id, "")
    if not said:
        return 0.0
    spec = pool.members[0]
    given = Answer(member=labels((spec,))[0], spec=spec, text=said, earlier=shown.name or NAME)
    result = await asking.put(pool.name, Request(question.text, pool, given=(given,)))
    for score in result.verdict.scores:
        if score.p_right is not None:
            return score.p_right
    return next(iter(result.notes), "The judge said nothing.")


def _reviewed(reviewer: Reviewer, question: Question, found: dict[str, float]) -> Reviewed:
    takes = []
    for name, p in found.items():
        if name != CONTROL:
            marks = dict.fromkeys(reviewer.criteria, MOST_MARK * p)
            takes.append(
                Take(
                    reviewer=reviewer.name,
                    contender=name,
                    score=reviewer.score(marks, MOST_MARK),
                    ship=p >= ACCEPTABLE,
                    marks=marks,
                    why=f"P(right) = {p:.2f} for its answer to: {question.text}",
                )
            )
    biases = []
    if found[CONTROL] >= ACCEPTABLE:
        biases.append(Bias(reviewer=reviewer.name, found=SHIPS_CONTROL))
    return Reviewed(takes, biases)
