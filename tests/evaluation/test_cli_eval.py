"""`nbfuse eval`, as a shell sees it."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import panels
import pytest
import shell
from lookalike import LookAlike, Say

nbfuse = functools.partial(shell.nbfuse, "eval")


def arithmetic(path: Path) -> str:
    lines = [f'{i},"What is {i} + {3 * i}?",{4 * i}' for i in range(1, 21)]
    path.write_text("\n".join(["id,question,reference", *lines]))
    return str(path)


@pytest.mark.timeout(60)
def test_the_tiny_pool_on_twenty_sums(tmp_path: Path) -> None:
    done = nbfuse(arithmetic(tmp_path / "q.csv"), "-p", "tiny", "--out", str(tmp_path / "j"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Pool tiny (best-of): tiny-calc, tiny-units, tiny-atlas; judge")
    assert re.match(r"tiny-calc +(9\d|100)\.\d %", next(x for x in lines if x.startswith("tiny-c")))
    # a specialist is asked in its own field: the others can add nothing
    assert lines[-1] == "No evidence that fusion helps here: use tiny-calc alone."
    again = nbfuse(str(tmp_path / "q.csv"), "-p", "tiny", "--out", str(tmp_path / "j"), "--json")
    told = json.loads(again.stdout)
    assert told["sentence"] == lines[-1].rstrip(".")
    assert len(told["questions"]) == 20


def test_answers_that_are_in_the_table_are_evaluated_without_asking(tmp_path: Path) -> None:
    rows = [f"What is {i} + 1?,{i + 1},{i + 1},{i},{i + 1}" for i in range(20)]
    table = tmp_path / "answers.csv"
    table.write_text("\n".join(["question,reference,one,two,three", *rows]))
    done = nbfuse(str(table), "--replay", str(table), "--answer", "number")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Pool table (best-of): one, two, three")
    assert re.search(r"^two +0\.0 %", done.stdout, re.MULTILINE)
    assert "use one alone" in done.stdout.splitlines()[-1]
    some = nbfuse(str(table), "--replay", str(table), "-m", "one,two", "--answer", "number")
    assert "(best-of): one, two; judge table:one" in some.stdout.splitlines()[0]
    for words, said in {
        ("-p", "tiny"): "a pool has other members",
        ("--verdicts", "winner"): "has no column 'winner'",
    }.items():
        done = nbfuse(str(table), "--replay", str(table), *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_journal_of_another_table_is_refused(tmp_path: Path) -> None:
    table, journal = tmp_path / "answers.csv", str(tmp_path / "out.jsonl")
    for one, two in (("2", "3"), ("3", "2")):
        table.write_text(f"prompt,reference,one,two\nWhat is 1 + 1?,2,{one},{two}\n")
        done = nbfuse(str(table), "--replay", str(table), "--answer", "number", "--out", journal)
    assert done.returncode == 2
    assert "its answers are those of another table" in done.stderr


def test_the_judge_of_a_table_may_be_one_of_its_columns(tmp_path: Path) -> None:
    rows = [f"{i} + 1?,{i + 1},{i + 1},{i},one" for i in range(20)]
    table = tmp_path / "answers.csv"
    table.write_text("\n".join(["question,reference,one,two,winner", *rows]))
    done = nbfuse(str(table), "--replay", str(table), "--verdicts", "winner", "--answer", "number")
    assert done.stdout.startswith("Pool table (best-of): one, two; judge")
    assert re.search(r"^fused +100\.0 %", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("missing.csv",), 2, "can't be read"),
        (("q.csv", "-p", "tinny"), 2, "Did you mean tiny"),
        (("q.csv", "--grade", "nothing"), 2, "MODULE:FUNCTION"),
        (("q.csv", "--grade", "nothing:here"), 2, "can't be imported"),
        (("q.csv", "--grade", "json:lods"), 2, "Did you mean load"),
        (("q.csv", "-p", "tiny", "--concurrency", "0"), 2, "concurrency"),
        (("q.csv", "-p", "tiny", "--out", "q.csv"), 2, "not the journal"),
        (("q.csv", "--budgte", "1"), 2, "Did you mean --budget"),
        ((), 2, "required: file"),
    ],
)
def test_errors_are_two_lines(words: tuple[str, ...], code: int, said: str) -> None:
    arithmetic(Path("q.csv"))
    done = nbfuse(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_grader_of_this_folder_and_several_pools(server: LookAlike) -> None:
    panels.three(server, 6)
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in panels.table(6)))
    Path("mine.py").write_text(
        "def grade(answer, row):\n    return answer.endswith(f\" {row['reference']}\")\n"
    )
    Path("nbfuse.toml").write_text(
        '[pools.two]\nmembers = ["openrouter:v/a", "openrouter:v/b"]\n'
        'judge = "openrouter:v/judge"\n'
        '[pools.three]\nmembers = ["openrouter:v/a", "openrouter:v/b", "openrouter:v/c"]\n'
        'judge = "openrouter:v/judge"\n'
    )
    words = ("q.jsonl", "-p", "two", "-p", "three", "--answer", "number", "--grade", "mine:grade")
    done = nbfuse(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Pool two (best-of): a, b;" in done.stdout
    assert "Pool three (best-of): a, b, c;" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process there")
@pytest.mark.parametrize("out", [True, False])
def test_ctrl_c_says_how_to_go_on(server: LookAlike, tmp_path: Path, out: bool) -> None:
    panels.three(server, 6)
    usual = server.models["v/b"]
    server.models["v/b"] = lambda body: (
        Say("never", first_s=60) if panels.number(body) == 4 else usual(body)
    )
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in panels.table(6)))
    words = ["q.jsonl", "-m", "openrouter:v/a,openrouter:v/b", "-j", "openrouter:v/judge"]
    words += ["--answer", "number", *(["--out", "j.jsonl"] if out else []), "--concurrency", "1"]
    shell = subprocess.Popen(
        [sys.executable, "-m", "nbfuse", "eval", *words], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 20
    while len(server.asked("v/b")) < 5 and time.monotonic() < end:
        time.sleep(0.02)
    shell.send_signal(signal.SIGINT)
    _, said = shell.communicate(timeout=20)
    assert shell.returncode == 130
    assert "Traceback" not in said
    if not out:
        assert said == "Stopped. Nothing was kept: with --out FILE the next one can go on.\n"
        return
    assert (
        said == "Stopped. What was answered is in j.jsonl: the same command goes on from there.\n"
    )
    server.models["v/b"] = usual
    server.requests.clear()
    done = nbfuse(*words)
    assert done.returncode == 0
    first = [body for body in server.asked("v/b") if "temperature" not in body]
    assert [panels.number(body) for body in first] == [4, 5]


@pytest.mark.timeout(90)
def test_one_that_is_killed_at_two_fifths_goes_on_and_asks_for_nothing_that_it_has(
    server: LookAlike, tmp_path: Path
) -> None:
    count = 50
    panels.three(server, count)
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in panels.table(count)))
    members = ",".join(f"openrouter:v/{name}" for name in "abc")
    words = ["q.jsonl", "-m", members, "-j", "openrouter:v/judge", "--answer", "number"]
    whole = nbfuse(*words)
    server.requests.clear()
    shell = subprocess.Popen([sys.executable, "-m", "nbfuse", "eval", *words, "--out", "j"])
    end = time.monotonic() + 30
    while len(server.asked("v/c")) < 2 * count // 5 and time.monotonic() < end:
        time.sleep(0.005)
    shell.kill()  # nothing is caught, nothing closed
    shell.wait(10)
    lines = [json.loads(line) for line in Path("j").read_text().split("\n")[:-1]]
    there = {(one["voice"].split()[0].partition(":")[2], int(one["question"].removeprefix("q")))
             for one in lines if one["type"] == "answer"}  # fmt: skip
    assert count < len(there) < 2 * count  # of 150 and the self-panel's
    judged = {one["question"] for one in lines if one["type"] == "fused"}
    server.requests.clear()
    done = nbfuse(*words, "--out", "j")
    assert done.returncode == 0
    again = [(m, panels.number(b)) for m in ("v/a", "v/b", "v/c") for b in server.asked(m)
             if "temperature" not in b]  # fmt: skip
    assert not set(again) & there
    assert len(again) + len(there) == 3 * count
    asked = re.compile(r"Sum (\d+):")
    assert judged
    assert not judged & {
        f"q{asked.search(b['messages'][1]['content'])[1]}" for b in server.asked("v/judge")
    }
    assert done.stdout.splitlines()[-1] == whole.stdout.splitlines()[-1]
