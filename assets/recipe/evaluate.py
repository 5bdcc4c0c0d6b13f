"""Measure the tiny pool through nbfuse itself: `python evaluate.py [QUESTIONS_PER_FIELD]`.

Arithmetic and unit questions are held out of all training; capitals are recall. Prints the tables
of the model card. Needs nbfuse with its engine (`pip install -e ".[local]"`), not PyTorch.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict

import fields

from nbfuse import Pool, fuse, load_pool

SEED = 5
OPENINGS = {
    *("what", "how", "which", "name", "convert", "calculate"),
    *("compute", "express", "tell", "capital", "work", "of"),
}
MEMBERS = ("tiny-calc", "tiny-units", "tiny-atlas")


async def measure(per_field: int) -> None:
    rng, tiny = random.Random(SEED), load_pool("tiny")
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    questions = []
    for facts in fields.FACTS.values():
        unseen = [fact for fact in facts if fields.held_out(fact)] or facts
        questions += [
            (fact, fields.question(fact, rng)) for fact in rng.choices(unseen, k=per_field)
        ]
    for fact, asked in questions:
        result = await fuse(asked, tiny)
        marks = {name: fields.is_right(fact, result[name].text) for name in MEMBERS}
        for name, mark in marks.items():
            right[name][fact.field].append(mark)
        right["any member"][fact.field].append(any(marks.values()))
        texts = [result[name].text for name in MEMBERS]
        plurality = max(texts, key=texts.count)  # ties go to the first
        right["plurality"][fact.field].append(fields.is_right(fact, plurality))
        right["best-of"][fact.field].append(fields.is_right(fact, result.text))
        merged = await fuse(asked, tiny, mode="merge")
        right["merge"][fact.field].append(fields.is_right(fact, merged.text))
        debated = await fuse(asked, tiny, mode="debate")
        right["debate"][fact.field].append(fields.is_right(fact, debated.text))
        for score in result.verdict.scores:
            said = score.p_right is not None and score.p_right >= 0.5
            right["judge's single verdicts"][fact.field].append(said == marks[score.member])
        if result.verdict.scores:
            none = result.verdict.none_acceptable
            right["says none is right when none is"][fact.field].append(none != any(marks.values()))
    for name, by_field in right.items():
        shares = [_share(by_field[field]) for field in fields.FIELDS]
        everything = _share([mark for marks in by_field.values() for mark in marks])
        print(f"| {name} | {' | '.join(shares)} | {everything} |")
    await measure_parts(questions, tiny, rng, per_field)


async def measure_parts(questions, tiny: Pool, rng: random.Random, count: int) -> None:
    """Questions of two parts from two fields: asked whole, and split by merge."""
    tally = defaultdict(list)
    while len(tally["merge, split"]) < count:
        (one, first), (other, second) = rng.sample(questions, 2)
        if one.field == other.field:
            continue
        if second.split()[0].rstrip("'s").lower() in OPENINGS:
            second = second[0].lower() + second[1:]
        asked = f"{first.rstrip('?.')} and {second}"
        merged = await fuse(asked, tiny, mode="merge")
        lines = merged.text.splitlines()
        both = len(lines) == 2 and all(map(fields.is_right, (one, other), lines))
        tally["merge, split"].append(both)
        tally["split into two"].append(len(merged.parts) == 2)
        reachable = len(merged.parts) == 2 and all(
            any(len(a.parts) > i and fields.is_right(fact, a.parts[i]) for a in merged.answers)
            for i, fact in enumerate((one, other))
        )
        tally["some member right in each part"].append(reachable)
        whole = await fuse(asked, tiny)
        tally["asked whole, best-of"].append(
            all(fields.answer(fact) in whole.text for fact in (one, other))
        )
    for name, marks in tally.items():
        print(f"two parts, {name}: {_share(marks)} of {len(marks)}")


def _share(marks: list[bool]) -> str:
    return f"{sum(marks) / len(marks):.2f}" if marks else "-"


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
