"""What the ledger keeps of evaluations, and that runs read it."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time

import panels
import pytest
from lookalike import LookAlike

import nbfuse
from nbfuse.core.measured import Measured, Record, Share
from nbfuse.core.pool import Pool
from nbfuse.fusion import engine
from nbfuse.ledger.file import MIGRATIONS, opened
from nbfuse.ledger.ledger import Ledger

POOL = Pool(members=("local:x", "local:y"), judge="local:j", answer="number")
SHOWN = Measured(
    models={"local:x": Share(12, 20), "local:y": Share(9, 20)},
    classes={"split": Share(5, 10), "unanimous": Share(9, 10)},
    judges={"local:j": Record(6, 5, 10)},
    weighing=Record(7, 8, 10),
    alone={"local:x": Record(9, 8, 10)},
)


def test_what_was_measured_comes_back() -> None:
    assert Ledger().measured(POOL) == Measured()
    assert not Ledger().path.exists()  # looking makes no file
    Ledger().keep_measured(POOL, SHOWN, "table")
    assert Ledger().measured(POOL) == SHOWN


def test_the_same_table_again_replaces_and_another_one_adds() -> None:
    Ledger().keep_measured(POOL, SHOWN, "table")
    Ledger().keep_measured(POOL, SHOWN, "table")
    assert Ledger().measured(POOL) == SHOWN
    fewer = Measured(models={"local:x": Share(1, 2)}, classes={"split": Share(1, 2)})
    Ledger().keep_measured(POOL, fewer, "another")
    both = Ledger().measured(POOL)
    assert both.models["local:x"] == Share(13, 22)
    assert both.classes == {"split": Share(6, 12), "unanimous": Share(9, 10)}
    Ledger().keep_measured(POOL, fewer, "table")
    both = Ledger().measured(POOL)
    assert both.models["local:x"] == Share(2, 4)
    assert both.classes == {"split": Share(2, 4)}
    assert both.judges == {}


def test_models_are_known_in_all_pools_but_agreement_only_in_its_own() -> None:
    Ledger().keep_measured(POOL, SHOWN, "table")
    other = Pool(members=("local:y", "local:z"), judge="local:j", answer="number")
    found = Ledger().measured(other)
    assert found.models["local:y"] == Share(9, 20)
    assert found.classes == found.judges == found.alone == {}
    turned = Pool(members=("local:y", "local:x"), judge="local:j", answer="number", seed=3)
    assert Ledger().measured(turned) == SHOWN


def test_an_older_file_is_laid_out_anew_and_read_before_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Ledger().path
    with monkeypatch.context() as before:
        before.setattr("nbfuse.ledger.file.MIGRATIONS", MIGRATIONS[:2])
        with opened(path):
            pass
    assert Ledger().measured(POOL) == Measured()
    Ledger().keep_measured(POOL, SHOWN, "table")
    assert Ledger().measured(POOL) == SHOWN


def test_evaluating_keeps_it_and_runs_are_told(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = panels.three(server, 10)
    found = asyncio.run(nbfuse.evaluate(panels.table(10), pool, progress=False))
    assert Ledger().measured(pool) == found.measured()
    assert found.measured().models["openrouter:v/a"] == Share(6, 10)
    assert sum(share.asked for share in found.measured().classes.values()) == 10
    asyncio.run(nbfuse.evaluate(panels.table(10), pool, progress=False))
    assert Ledger().measured(pool) == found.measured()
    assert Ledger().runs() == []  # an evaluation is no run of the history

    told: list[Measured | None] = []
    plain = engine.stream

    def listening(*words: object, **more: object) -> object:
        told.append(more["measured"])
        return plain(*words, **more)

    monkeypatch.setattr(engine, "stream", listening)
    asyncio.run(nbfuse.fuse("Sum 1: what is 1 + 1?", pool))
    assert told == [found.measured()]


def test_without_a_history_nothing_is_kept_or_read(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBFUSE_HISTORY", "off")
    asyncio.run(nbfuse.evaluate(panels.table(3), panels.three(server, 3), progress=False))
    assert not Ledger().path.exists()


def test_a_broken_file_fails_no_run(server: LookAlike) -> None:
    pool = panels.three(server, 3)
    Ledger().path.parent.mkdir(parents=True)
    Ledger().path.write_text("no database at all, but long enough to be looked at" * 50)
    result = asyncio.run(nbfuse.fuse("Sum 1: what is 1 + 1?", pool))
    assert result.text
    found = asyncio.run(nbfuse.evaluate(panels.table(3), pool, progress=False))
    assert any("not in the ledger" in note for note in found.notes)


def test_a_locked_file_holds_up_no_run() -> None:
    Ledger().keep_measured(POOL, SHOWN, "table")
    holder = sqlite3.connect(Ledger().path)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert Ledger().measured(POOL) == SHOWN  # a write-ahead log is read beside a writer
    finally:
        holder.close()


def test_reading_it_takes_a_few_milliseconds_at_most() -> None:
    for i in range(50):
        Ledger().keep_measured(POOL, SHOWN, f"table {i}")
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        Ledger().measured(POOL)
        times.append(time.perf_counter() - begun)
    assert statistics.median(times) < 0.02
