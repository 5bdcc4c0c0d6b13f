"""Panels of real answers, kept in tests/fusion/panels.jsonl and fused again from there.

The answers are those of the three tiny specialists and of SmolLM2 135M at several temperatures to
questions of three fields, as tests/bench/panels.py has asked them; nothing in the file is made up.
Each line is a question with its reference, the distinct `texts` that were said, and which of them
each model `said` at each temperature, sample for sample.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nbfuse import FusionResult, Pool
from nbfuse.core.events import RunFinished
from nbfuse.core.measured import Measured
from nbfuse.core.request import Request
from nbfuse.core.types import Answer, Verdict
from nbfuse.evaluation.grading import RIGHT, Marks
from nbfuse.evaluation.questions import read_questions
from nbfuse.evaluation.statistics import Difference, paired
from nbfuse.evaluation.votes import (
    Case,
    best_members,
    best_of,
    fold_of,
    measured_members,
    vote,
)
from nbfuse.replay import Table, from_table, replayed

FILE = Path(__file__).parent / "fusion" / "panels.jsonl"
SPECS = {
    **{name: f"local:tiny-{name}" for name in ("calc", "units", "atlas")},
    "smol": "local:smollm2-135m",
}
SEED = 0
FIRST = 80  # questions of a field


class Column(NamedTuple):
    """One sample of one model."""

    model: str
    temperature: float
    sample: int

    @property
    def name(self) -> str:
        """What its column is called."""
        return f"{self.model}-{self.temperature:g}-{self.sample}"


COLUMNS = [
    Column(model, temperature, sample)
    for model in SPECS
    for temperature, samples in ((0.0, 1), (0.8, 3 if model == "smol" else 5), (1.5, 5))
    for sample in range(samples)
    if model != "smol" or temperature < 1
]


class Panel(NamedTuple):
    """Members, the first being the anchor, and the fields in which they were asked."""

    name: str
    columns: tuple[str, ...]
    fields: tuple[str, ...]

    @property
    def kind(self) -> str:
        """How its pool compares answers: figures, or where fields are mixed the whole line."""
        return "label" if "atlas" in self.fields else "number"


def _samples(model: str, temperature: float, count: int) -> tuple[str, ...]:
    return tuple(f"{model}-{temperature:g}-{i}" for i in range(count))


ALL = ("calc", "units", "atlas")
TINY = tuple(f"{name}-0-0" for name in ALL)
PANELS = (
    *(
        Panel(f"{model} {temperature:g} *{count}", _samples(model, temperature, count), (model,))
        for model in ALL
        for temperature, count in ((0.8, 3), (1.5, 3), (1.5, 5))
    ),
    *(
        Panel(
            f"{model} 0, 0.8, 1.5", (f"{model}-0-0", f"{model}-0.8-0", f"{model}-1.5-0"), (model,)
        )
        for model in ALL
    ),
    Panel("tiny pool, all fields", TINY, ALL),
    *(Panel(f"tiny pool, {field}", TINY, (field,)) for field in ALL),
    Panel("smol 0.8 *3", _samples("smol", 0.8, 3), ALL),
    Panel("smol 0, 0.8, 0.8", ("smol-0-0", "smol-0.8-0", "smol-0.8-1"), ALL),
    Panel("tiny pool and smol", (*TINY, "smol-0-0"), ALL),
    Panel("atlas and smol, capitals", ("atlas-1.5-0", "smol-0-0", "smol-0.8-0"), ("atlas",)),
)


def by_voice(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns by the model and the temperature that they share, in the order of the samples."""
    made: dict[str, list[str]] = {}
    for name in names:
        made.setdefault(name.rpartition("-")[0], []).append(name)
    return made


def rows(panel: Panel) -> list[dict[str, object]]:
    """The questions that all members of a panel were asked, as rows of a table."""
    made = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_sample, texts = row.pop("said"), row.pop("texts")
        said = {f"{v}-{i}": one for v, those in by_sample.items() for i, one in enumerate(those)}
        if row["field"] in panel.fields and all(name in said for name in panel.columns):
            answers = {name: said[name] for name in panel.columns}
            made.append(row | {n: None if i is None else texts[i] for n, i in answers.items()})
    return made


class Measure(NamedTuple):
    """How a panel did: shares of right answers, and differences that matter, paired."""

    asked: int
    best: str
    single: float
    plain: float
    anchored: float
    waiting: float
    stopping: float
    auto: float
    saved: float
    auto_saved: float
    anchored_against_single: Difference
    stopping_against_waiting: Difference
    auto_against_single: Difference


async def measure(panel: Panel, thorough: bool = True) -> Measure:
    """Votes over all answers, and runs that wait for all, stop early, or begin with two.

    If not `thorough`, of several fields only the first questions count, and those on which all say
    the same to the letter are not run: no rule could come to anything else there; of what is saved
    nothing is known then. What is weighed, and who is the anchor, was measured on other folds.
    """
    table = rows(panel)
    if not thorough and len(panel.fields) > 1:
        table = [r for f in panel.fields for r in [r for r in table if r["field"] == f][:FIRST]]
    cases = await _cases(panel, table)
    names, anchor = panel.columns, panel.columns[0]
    leading = best_of(cases, names, anchor)
    best = best_members(cases, names, anchor, SEED)
    known = [_known(cases, names, fold, who) for fold, who in enumerate(best)]
    specs = [f"table:{name}" for name in names]
    weights = [dict(zip(names, one.weights(specs), strict=True)) for one in known]

    def voted(case: Case, weighed: bool) -> float:
        fold = fold_of(case.question, SEED)
        who, weigh = (best[fold], weights[fold]) if weighed else (anchor, None)
        return case.mark_of(vote(case.question, case.answers, case.kind, who, weigh))

    single = [case.mark_of(case.answer_of(leading)) for case in cases]
    plain = [voted(case, weighed=False) for case in cases]
    anchored = [voted(case, weighed=True) for case in cases]
    made = {mode: await _runs(panel, table, cases, best, known, mode, thorough) for mode in MODES}
    marks = {mode: [mark for mark, _ in found] for mode, found in made.items()}
    asked = {mode: [calls for _, calls in found] for mode, found in made.items()}
    share, count = statistics.fmean, len(names)
    return Measure(
        asked=len(cases),
        best=leading,
        single=share(single),
        plain=share(plain),
        anchored=share(anchored),
        waiting=share(marks["waiting"]),
        stopping=share(marks["stopping"]),
        auto=share(marks["auto"]),
        saved=1 - share(asked["stopping"]) / count,
        auto_saved=1 - share(asked["auto"]) / count,
        anchored_against_single=paired(anchored, single),
        stopping_against_waiting=paired(marks["stopping"], marks["waiting"]),
        auto_against_single=paired(marks["auto"], single),
    )


MODES: dict[str, dict[str, object]] = {
    "waiting": {"wait": True},
    "stopping": {"grace_s": 100.0},  # so that it is agreement alone which ends the waiting
    "auto": {"mode": "auto"},
}


async def _cases(panel: Panel, table: Sequence[dict[str, object]]) -> list[Case]:
    asked = read_questions(table, graded=False)
    marks, made = Marks(asked, None, None), []
    for (question, _), row in zip(asked, table, strict=True):
        said = {name: str(row[name] or "") for name in panel.columns}
        await marks.grade(question.id, list(said.values()))
        answers = tuple(
            Answer(member=n, spec=f"table:{n}", text=text, status="complete" if text else "failed")
            for n, text in said.items()
        )
        found = tuple(marks.of(question.id, text) or 0.0 for text in said.values())
        nobody = FusionResult(
            run="", prompt="", mode="best-of", text="", verdict=Verdict(decided_by="nobody"),
            answers=answers,
        )  # fmt: skip
        made.append(Case(question, marks.kind(question), answers, found, nobody, 0.0))
    return made


async def _runs(
    panel: Panel,
    table: Sequence[dict[str, object]],
    cases: Sequence[Case],
    best: Sequence[str],
    known: Sequence[Measured],
    mode: str,
    thorough: bool,
) -> list[tuple[float, int]]:
    """The mark of each run and how many members it needed, no judge being there."""
    draw = random.Random(panel.name)
    slow = {f"{name} s": lambda: round(draw.uniform(1, 9), 3) for name in panel.columns}
    timed = [row | {name: took() for name, took in slow.items()} for row in table]
    source = from_table(timed, models=panel.columns, seconds={n: f"{n} s" for n in panel.columns})
    names, specs = panel.columns, [f"table:{name}" for name in panel.columns]
    made = []
    for case in cases:
        if not thorough and len({answer.text for answer in case.answers}) == 1:
            made.append((case.marks[0], len(names)))
            continue
        fold = fold_of(case.question, SEED)
        settings = {"answer": panel.kind, "anchor": best[fold], **MODES[mode]}
        wait = settings.pop("wait", False)
        pool = Pool(members=tuple(specs), quorum=len(names) if wait else None, **settings)
        result = await _run(source, case.question.text, pool, known[fold])
        right = {a.text: mark for a, mark in zip(case.answers, case.marks, strict=True)}
        needed = sum(a.status in ("complete", "failed") for a in result.answers)
        made.append((right[result.text], needed))
    return made


def _known(cases: Sequence[Case], names: Sequence[str], fold: int, anchor: str) -> Measured:
    """What the other folds have shown of the columns, as a run is told."""
    others = [case for case in cases if fold_of(case.question, SEED) != fold]
    found = measured_members(others, names, anchor)
    models = {f"table:{name}": share for name, share in found.models.items()}
    alone = {f"table:{name}": record for name, record in found.alone.items()}
    return Measured(models=models, weighing=found.weighing, alone=alone)


async def _run(source: Table, question: str, pool: Pool, known: Measured) -> FusionResult:
    events = replayed(source, Request(question, pool), measured=known, entropy=SEED)
    return [event async for event in events if isinstance(event, RunFinished)][-1].result


def measured(panel: Panel, thorough: bool = True) -> Measure:
    """What `measure` gives, for who has no event loop."""
    return asyncio.run(measure(panel, thorough))


__all__ = ["COLUMNS", "FILE", "PANELS", "RIGHT", "Column", "Measure", "Panel", "measured", "rows"]
