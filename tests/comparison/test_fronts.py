"""Comparisons and bookmarks on the command line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import panels
import pytest
import reviewing
import shell
from lookalike import LookAlike

from nbfuse import Comparison, from_json, to_json
from nbfuse.comparison.marks import keep, opened
from nbfuse.core.errors import ConfigError, LedgerError
from nbfuse.ledger.bookmarks import Bookmarks
from nbfuse.ledger.ledger import Ledger

A, B, JUDGE = "openrouter:v/a", "openrouter:v/b", "openrouter:v/judge"
ASKED = ("compare", A, B, "--on", "sums.jsonl", "-j", JUDGE)


@pytest.fixture
def sums(server: LookAlike) -> LookAlike:
    server.models |= {
        "v/a": panels.member(range(8)),
        "v/b": panels.member([]),
        "v/judge": reviewing.reviewer(),
    }
    lines = (json.dumps(row) for row in panels.table(8))
    Path("sums.jsonl").write_text("\n".join(lines))
    return server


def test_it_prints_tables_writes_the_page_and_keeps_a_bookmark(sums: LookAlike) -> None:
    done = shell.nbfuse(*ASKED, "-o", "page.html", "--bookmark", "sums", "--tags", "maths, demo")
    assert done.returncode == 0, done.stderr
    assert f"Ship {A}." in done.stdout
    assert "Ship · 5 ship / 0 skip" in done.stdout
    assert "Kept as sums." in done.stderr
    page = Path("page.html").read_text()
    assert page.startswith("<!doctype html>")
    listed = shell.nbfuse("bookmarks")
    assert f"{A} or {B}" in listed.stdout
    assert "maths, demo" in listed.stdout
    assert shell.nbfuse("bookmarks", "search", "DEMO", "sum 3").stdout.count("comparison") == 1
    assert shell.nbfuse("bookmarks", "search", "nowhere").returncode == 1
    asked = len(sums.requests)
    assert shell.nbfuse("bookmarks", "search", "would_change").returncode == 1  # no one said
    again = shell.nbfuse("bookmarks", "open", "sums", "-o", "again.html")
    assert again.returncode == 0
    assert "): maths, demo</li>" in Path("again.html").read_text()
    assert "maths" not in page  # what is published does not tell the user's own bookmarks
    assert "Which one should you ship with?" in Path("again.html").read_text()
    found = from_json(Comparison, shell.nbfuse("bookmarks", "open", "sums", "--json").stdout)
    assert found.decision.winner == A
    assert len(sums.requests) == asked
    assert "forgotten" in shell.nbfuse("bookmarks", "delete", "sums").stdout
    gone = shell.nbfuse("bookmarks", "open", "sums")
    assert (gone.returncode, "no bookmark 'sums'" in gone.stderr) == (1, True)


def test_a_dry_run_asks_nobody(sums: LookAlike) -> None:
    done = shell.nbfuse(*ASKED, "--dry-run")
    assert "Would ask" in done.stdout
    assert "8 questions, then 5 reviewers (Builder, " in done.stdout
    assert not [request for request in sums.requests if request.method == "POST"]


def test_wrong_words_say_what_to_do(sums: LookAlike) -> None:
    assert shell.nbfuse("compare", A).returncode == 2
    done = shell.nbfuse("bookmarks", "open")
    assert (done.returncode, "nbfuse bookmarks open NAME" in done.stderr) == (2, True)
    done = shell.nbfuse("compare", A, B, "--on", "nowhere.csv")
    assert "nowhere.csv can't be read" in done.stderr


def test_a_run_is_bookmarked_and_outlives_the_history(sums: LookAlike) -> None:
    shell.nbfuse("ask", "Sum 3: what is 3 + 3?", "-m", A)
    (run,) = Ledger().runs()
    assert "Kept as three." in shell.nbfuse("bookmarks", "save", "three", run.run[:8]).stdout
    Ledger().clear()
    done = shell.nbfuse("bookmarks", "open", "three")
    assert "It is 6" in done.stdout
    assert "in place of the one before" in keep("three", (), opened("three"))


def test_a_bookmark_of_another_version_still_shows_its_page(sums: LookAlike) -> None:
    shell.nbfuse(*ASKED, "--bookmark", "sums")
    kept = opened("sums")
    assert isinstance(kept, Comparison)
    later = to_json(kept).replace('"schema":1', '"schema":2')
    for value in (later, '{"quite": "another"}'):
        with sqlite3.connect(Ledger().path) as file:
            file.execute("UPDATE bookmarks SET value = ?", (value,))
        shown = opened("sums")
        assert "another version" in repr(shown)
        assert "Which one should you ship with?" in shown._repr_html_()


@pytest.mark.parametrize("name", ["", " ", "-x", "a,b", "a\nb"])
def test_a_name_that_cannot_be_typed_is_refused(name: str, sums: LookAlike) -> None:
    shell.nbfuse(*ASKED, "--bookmark", "sums")
    with pytest.raises(LedgerError, match="can't be called"):
        keep(name, (), opened("sums"))


def test_without_a_history_nothing_is_kept(
    sums: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBFUSE_HISTORY", "off")
    done = shell.nbfuse(*ASKED, "--bookmark", "sums")
    assert "The history is switched off" in done.stderr
    assert not [request for request in sums.requests if request.method == "POST"]
    assert not Ledger().path.exists()
    with pytest.raises(ConfigError):
        keep("x", (), from_json(Comparison, shell.nbfuse(*ASKED, "--json").stdout))
    assert Bookmarks().find() == []


def test_a_recording_is_replayed_without_a_key(
    sums: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shell.nbfuse(*ASKED, "--record", "tape.jsonl")
    monkeypatch.delenv("OPENROUTER_API_KEY")
    again = shell.nbfuse(*ASKED, "--replay", "tape.jsonl")
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    other = shell.nbfuse("compare", A, "openrouter:v/c", "--on", "sums.jsonl", "-j", JUDGE,
                         "--replay", "tape.jsonl")  # fmt: skip
    assert "openrouter:v/c is not in it" in other.stderr
