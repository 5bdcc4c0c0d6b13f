"""The ledger: what is kept of runs, whatever happens, and how it is found again."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import lookalike
import msgspec
import pytest
from lookalike import LookAlike, Say, letter_of, verdict

from nbfuse import FusionResult, Pool, fuse, promote, rejudge
from nbfuse.core.errors import ConfigError, LedgerError, NoAnswerError
from nbfuse.core.types import Answer, Verdict
from nbfuse.ledger.file import MIGRATIONS, WAIT_S
from nbfuse.ledger.ledger import Ledger
from nbfuse.paths import data_folder

TWO = Pool(members=("openrouter:v/a", "openrouter:v/b"), judge="openrouter:v/judge", quorum=2)


def ask(server: LookAlike, prompt: str = "capital?", pool: Pool = TWO) -> FusionResult:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    return asyncio.run(fuse(prompt, pool))


def result(run: str, **more: object) -> FusionResult:
    told = {"prompt": "hi", "text": "ho", "started_at": "2026-01-02T03:04:05+00:00"} | more
    return FusionResult(
        run=run,
        mode="best-of",
        verdict=Verdict(decided_by="judge"),
        **{"answers": (Answer(member="m", spec="local:m", text="ho", local=True),)} | told,
    )


def test_a_run_is_kept_and_comes_back_as_it_was(server: LookAlike) -> None:
    made = ask(server)
    (past,) = Ledger().runs()
    assert (past.run, past.prompt, past.text, past.status) == (
        made.run,
        "capital?",
        made.text,
        "complete",
    )
    assert past.models == ("openrouter:v/a", "openrouter:v/b")
    assert past.cost == made.cost
    assert past.cost > 0
    assert Ledger().load(made.run[:4]) == made


def test_a_run_that_nobody_answered_is_kept_too(server: LookAlike) -> None:
    with pytest.raises(NoAnswerError):
        asyncio.run(fuse("hi", TWO))
    (past,) = Ledger().runs()
    assert past.status == "failed"
    assert Ledger().load(past.run).answers[0].failure


def test_a_killed_kernel_loses_no_answer_that_was_finished(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("never said", first_s=60)}
    code = (
        "import asyncio, nbfuse\n"
        "pool = nbfuse.Pool(members=('openrouter:v/a', 'openrouter:v/b'), quorum=2)\n"
        "asyncio.run(nbfuse.fuse('capital?', pool))\n"
    )
    kernel = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 20
    kept: list[Answer] = []
    while not kept and time.monotonic() < end:
        time.sleep(0.05)
        answers = [answer for past in Ledger().runs() for answer in Ledger().load(past.run).answers]
        kept = [answer for answer in answers if answer.usable]
    kernel.kill()
    kernel.wait()
    assert [answer.text for answer in kept] == ["Paris"]
    (past,) = Ledger().runs()
    assert past.status == "running"
    again = Ledger().load(past.run)
    assert again.settings["quorum"] == 2  # the limits of its pool hold when it is judged again
    assert again["a"].text == "Paris"
    assert "cut off before its end" in again.verdict.reason
    server.models["v/b"] = Say("Rome")
    whole = asyncio.run(rejudge(again, retry=True))
    assert [answer.text for answer in whole.answers] == ["Paris", "Rome"]
    assert (whole["a"].earlier, whole["b"].earlier) == (past.run, "")


def at_once(code: str, *names: str) -> list[int]:
    """Exit codes of kernels that run `code`, each with its name and a result to write."""
    kernels = [
        subprocess.Popen([sys.executable, "-c", code, name], stdin=subprocess.PIPE)
        for name in names
    ]
    for kernel in kernels:  # a new file, which each of them wants to lay out
        kernel.stdin.write(msgspec.json.encode(result("x")))
        kernel.stdin.close()
    return [kernel.wait() for kernel in kernels]


def test_several_kernels_write_at_once() -> None:
    code = (
        "import sys, msgspec\n"
        "from nbfuse.core.types import FusionResult, from_json\n"
        "from nbfuse.ledger.ledger import Ledger\n"
        "made = from_json(FusionResult, sys.stdin.read())\n"
        "for i in range(20):\n"
        "    Ledger().end(msgspec.structs.replace(made, run=f'{sys.argv[1]}-{i}'))\n"
    )
    assert at_once(code, "one", "two", "three") == [0, 0, 0]
    assert len(Ledger().runs(limit=100)) == 60


def test_kernels_that_run_several_at_once_leave_a_whole_file() -> None:
    """Closing a file of its own would drop the locks of all connections in a process."""
    code = (
        "import sys, threading, msgspec\n"
        "from nbfuse.core.types import FusionResult, from_json\n"
        "from nbfuse.ledger.ledger import Ledger\n"
        "made = from_json(FusionResult, sys.stdin.read())\n"
        "def write(thread):\n"
        "    for i in range(60):\n"
        "        name = f'{sys.argv[1]}-{thread}-{i}'\n"
        "        Ledger().end(msgspec.structs.replace(made, run=name))\n"
        "threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    assert at_once(code, "one", "two") == [0, 0]
    assert len(Ledger().runs(limit=1000)) == 360
    with closing(sqlite3.connect(Ledger().path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_new_file_waits_for_the_kernel_that_lays_it_out() -> None:
    """A change of journal isn't waited for by SQLite itself, whatever its timeout."""
    path = Ledger().path
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        ready = threading.Timer(WAIT_S / 5, other.rollback)
        ready.start()
        Ledger().end(result("kept"))
        ready.join()
    assert [past.run for past in Ledger().runs()] == ["kept"]


def test_runs_are_found_by_words_pool_model_day_and_cost() -> None:
    unknown = Answer(member="b", spec="openrouter:v/big", text="It is 100% blue")
    ledger = Ledger()
    ledger.end(result("aaaa1", prompt="Why is the sky blue, über alles?", pool="tiny"))
    ledger.end(result("bbbb1", started_at="2026-03-01T12:00:00+00:00", answers=(unknown,)))

    def found(*words: str, **filters: object) -> list[str]:
        return [past.run for past in ledger.runs(*words, **filters)]

    assert found() == ["bbbb1", "aaaa1"]  # the latest first
    assert found("SKY") == ["aaaa1"]
    assert found("100%") == ["bbbb1"]  # in an answer, and no wildcard
    assert found("_") == []
    assert found("ÜBER") == ["aaaa1"]
    assert found(pool="tiny") == ["aaaa1"]
    assert found(model="big") == ["bbbb1"]
    assert found(day="2026-03") == found(day="2026-03-01") == ["bbbb1"]
    assert found(day="03") == []
    assert found(least_cost=0.0) == ["aaaa1"]  # what is unknown is not nothing
    assert found("blue", pool="tiny", limit=1) == ["aaaa1"]


def test_votes_are_kept_one_for_each_answer() -> None:
    ledger = Ledger()
    ledger.end(result("aaaa1"))
    ledger.vote("aaaa1", "down")
    ledger.vote("aaaa1", "up")
    ledger.vote("aaaa1", "best", "m")
    ledger.vote("aaaa1", "best", "n")
    (past,) = ledger.runs()
    assert past.votes == (("", "up"), ("n", "best"))
    ledger.vote("aaaa1", "up", "n")
    assert set(ledger.runs()[0].votes) == {("", "up"), ("n", "best"), ("n", "up")}


def test_a_file_of_an_earlier_version_is_brought_up_to_date() -> None:
    ledger = Ledger()
    ledger.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(ledger.path)) as file:
        file.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        file.execute("INSERT INTO runs (run, started_at, prompt) VALUES ('old1', '2026', 'hi')")
        file.commit()
    ledger.vote("old1", "up")
    with closing(sqlite3.connect(ledger.path)) as file:
        assert file.execute("SELECT prompt FROM runs").fetchall() == [("hi",)]
        assert file.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_name_that_is_not_enough_is_refused() -> None:
    ledger = Ledger()
    with pytest.raises(LedgerError, match="No run begins with 'abcd'"):
        ledger.load("abcd")
    assert not ledger.path.exists()  # looking made no file
    for run in ("abcd1", "abcd2"):
        ledger.end(result(run))
    with pytest.raises(LedgerError, match="Several runs begin with 'abcd'"):
        ledger.load("abcd")
    with pytest.raises(LedgerError, match="No run"):
        ledger.load("")


@pytest.mark.parametrize("trouble", ["locked", "broken", "no folder", "newer", "full"])
def test_a_ledger_in_trouble_costs_a_note_and_no_answer(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr("nbfuse.ledger.file.WAIT_S", 0.1)
    path = Ledger().path
    holder = None
    says = "Look at the file and its folder"
    if trouble == "no folder":
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.write_text("a file where the folder should be")
    else:
        Ledger().end(result("before"))
    match trouble:
        case "locked":
            holder = sqlite3.connect(path)
            holder.execute("BEGIN EXCLUSIVE")
            says = "Another program holds it"
        case "broken":
            for file in path.parent.iterdir():
                file.unlink()
            path.write_bytes(b"no database at all " * 1000)
            says = "move it away"
        case "newer":
            with closing(sqlite3.connect(path)) as file:
                file.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
            says = "newer nbfuse"
        case "full":
            with closing(sqlite3.connect(path)) as file:
                (pages,) = file.execute("PRAGMA page_count").fetchone()
            server.models["v/b"] = Say("Rome")
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (pages * 4096, limit[1]))
    try:
        made = ask(server, "capital? " + "x" * 100_000 * (trouble == "full"))
    finally:
        if trouble == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        if holder is not None:
            holder.close()
    assert made.text == "Rome"
    (note,) = [note for note in made.notes if "not in the history" in note]
    assert says in note
    assert "\n" not in note
    assert promote(made, "a").text == "Paris"
    if trouble in ("locked", "full"):  # what was there is whole, and the next run is kept
        assert Ledger().load("befo").text == "ho"
        assert Ledger().load(ask(server).run)


def test_it_can_be_switched_off_and_forgets_what_is_old(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBFUSE_HISTORY", "off")
    ask(server)
    monkeypatch.delenv("NBFUSE_HISTORY")
    Path("nbfuse.toml").write_text("history = false\n")
    ask(server)
    assert not data_folder().exists()
    Path("nbfuse.toml").write_text("history = 800_000\n")
    with pytest.raises(ConfigError, match="history can't be 800000"):
        ask(server)
    Path("nbfuse.toml").write_text("history = 30\n")
    Ledger().end(result("old1"))
    made = ask(server)
    assert [past.run for past in Ledger().runs()] == [made.run]


def test_what_is_old_is_forgotten_even_where_a_run_is_written_in_one_go(
    server: LookAlike,
) -> None:
    Path("nbfuse.toml").write_text("history = 30\n")
    first = ask(server)  # imports take their time
    Ledger().end(result("old1"))
    holder = sqlite3.connect(Ledger().path, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")  # longer than a run waits to note its beginning
    threading.Timer(1.5 * WAIT_S, holder.close).start()
    made = ask(server)
    assert {past.run for past in Ledger().runs()} == {first.run, made.run}


def test_nobody_else_may_read_it_and_no_key_is_in_it(server: LookAlike) -> None:
    made = ask(server)
    server.models["v/a"] = lookalike.Fail(401, {"message": f"no: Bearer {lookalike.KEY}"})
    asyncio.run(fuse("again?", TWO))
    assert stat.S_IMODE(Ledger().path.stat().st_mode) == 0o600
    for file in data_folder().iterdir():
        assert lookalike.KEY.encode() not in file.read_bytes()
    assert Ledger().clear() == 2
    assert Ledger().runs() == []
    for file in data_folder().iterdir():
        assert made.run.encode() not in file.read_bytes()  # forgotten is gone
        assert b"capital?" not in file.read_bytes()


def test_the_command_line_lists_shows_and_forgets() -> None:
    def nbfuse(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nbfuse", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    for prompt in ("What is 12 + 30?", "What is 7 * 6?"):
        assert nbfuse("ask", "-p", "tiny", prompt).returncode == 0
    heads, line = nbfuse("history", "12", "+").stdout.splitlines()
    assert heads.split("\t") == ["run", "when", "pool", "time", "price", "vote", "question"]
    name, _, pool, _, price, _, question = line.split("\t")
    assert (pool, price, question) == ("tiny", "$0", "What is 12 + 30?")
    assert nbfuse("history", "--show", name).stdout == "12 + 30 = 42\n"
    listed = json.loads(nbfuse("history", "--json").stdout)
    assert [past["prompt"] for past in listed] == ["What is 7 * 6?", "What is 12 + 30?"]
    assert Decimal(listed[0]["cost"]) == 0
    assert json.loads(nbfuse("history", "--json", "--show", name).stdout)["text"] == "12 + 30 = 42"
    assert nbfuse("history", "--clear", "--older", "1").stdout == "0 runs forgotten.\n"
    assert "by age alone" in nbfuse("history", "--clear", "-p", "tiny").stderr
    assert "belongs to --clear" in nbfuse("history", "--older", "90").stderr
    assert "LedgerError" in nbfuse("history", "--clear", "--older", "1e9").stderr
    assert nbfuse("history", "--clear").stdout == "2 runs forgotten.\n"
    assert nbfuse("history").returncode == 1
    assert "Did you mean --show" in nbfuse("history", "--shw", "x").stderr
