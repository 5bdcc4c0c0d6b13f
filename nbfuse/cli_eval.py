"""`nbfuse eval FILE`: whether fusing pays, on a file of questions with reference answers."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.pool import ANSWER_KINDS, MODES, Pool
from nbfuse.core.types import to_json
from nbfuse.evaluation.evaluate import evaluate
from nbfuse.options import pool_of
from nbfuse.replay import Table, from_table

OK, INTERRUPTED = 0, 130
UNSAID = {"quorum": None, "deadline": None, "seed": None}  # options of a run, but not of this


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is evaluated, how it is graded, and where the answers are kept."""
    add = parser.add_argument
    add("file", help="questions as CSV or JSON lines: question, reference and, if wanted, id, kind")
    add("-p", "--pool", action="append", default=[], metavar="NAME", help="a pool; may be repeated")
    add("-m", "--models", action="append", metavar="A,B", help="members instead of a pool's")
    add("-j", "--judge", metavar="MODEL", help="who judges and writes")
    add("--judges", metavar="A,B", help="two judges, best of different families")
    add("--mode", metavar="MODE", help=f"{', '.join(MODES)} (default: the pool's)")
    add("--answer", metavar="KIND", help=f"compare answers as {', '.join(ANSWER_KINDS)}")
    add("--max-tokens", type=int, metavar="N", help="limit of each answer")
    add("--temperature", type=float, metavar="T", help="0 is the most likely answer, 1 is free")
    add("--local-only", action="store_const", const=True, help="let nothing leave this machine")
    add("--replay", metavar="TABLE", help="answers from a table instead: a column for each model,")
    add("--verdicts", metavar="COLUMN", help="and one with the model that a judge preferred")
    add("--grade", metavar="MODULE:FUNCTION", help="marks an answer: grade(answer, row)")
    add("--out", metavar="JOURNAL", help="keep each answer here; the same command then goes on")
    add("--concurrency", type=int, default=4, metavar="N", help="questions at once (default: 4)")
    add("--budget", metavar="USD", help="ask no further question once so much is spent")
    add("--json", action="store_true", help="print the whole evaluation as JSON")
    parser.set_defaults(**UNSAID)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the report; raises what `evaluate` raises."""
    grade = grader(options.grade) if options.grade else None
    table = _table(options)
    made = evaluate(
        options.file,
        _pools(options, table),
        grade=grade,
        out=options.out,
        concurrency=options.concurrency,
        budget=options.budget,
        replay=table,
    )
    try:
        found = asyncio.run(made)
    except KeyboardInterrupt:
        kept = "Nothing was kept: with --out FILE the next one can go on."
        if options.out:
            kept = f"What was answered is in {options.out}: the same command goes on from there."
        print(f"Stopped. {kept}", file=sys.stderr)
        return INTERRUPTED
    print(to_json(found) if options.json else found)
    return OK


def _pools(options: argparse.Namespace, table: Table | None) -> list[Pool]:
    names: list[str | None] = list(options.pool) or [None]
    recorded = table.pool if table is not None else None
    if table is not None and options.models:  # its columns may be called by their own names
        columns = ",".join(options.models).split(",")
        named = ",".join(f"table:{one.strip().removeprefix('table:')}" for one in columns)
        options = argparse.Namespace(**vars(options) | {"models": [named]})
    each = [argparse.Namespace(**vars(options) | {"pool": name}) for name in names]
    return [pool_of(one, recorded=recorded)[0] for one in each]


def _table(options: argparse.Namespace) -> Table | None:
    """What answers instead of models; raises `ConfigError`."""
    if options.replay is None:
        if options.verdicts is not None:
            raise ConfigError("--verdicts belongs to --replay.", "Write both.")
        return None
    if options.pool:
        raise ConfigError(
            "--replay answers from its table alone, and a pool has other members.",
            "Choose its columns by -m, or leave out --pool.",
        )
    return from_table(options.replay, judge=options.judge, verdicts=options.verdicts)


def grader(name: str) -> Callable[[str, Mapping[str, object]], object]:
    """The function that `module:function` names, in this folder or among what is installed."""
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise ConfigError(f"--grade can't be {name!r}.", "Write MODULE:FUNCTION.")
    sys.path.insert(0, str(Path.cwd()))  # as python -m does
    try:
        found = importlib.import_module(module)
    except Exception as error:  # the user's own code
        raise ConfigError(
            f"--grade: {module} can't be imported: {type(error).__name__}: {error}.",
            "Give a module of this folder or an installed one.",
        ) from error
    grade: object = getattr(found, function, None)
    if not callable(grade):
        raise ConfigError(
            f"--grade: {module} has no function {function!r}.",
            did_you_mean(function, [name for name in vars(found) if not name.startswith("_")]),
        )
    return grade
