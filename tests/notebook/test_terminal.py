"""`%%fuse` in a plain IPython: a table that moves while it runs, and the same result."""

from __future__ import annotations

import os
import sys

import pytest
from lookalike import LookAlike, Say, letter_of, verdict

pexpect = pytest.importorskip("pexpect")  # IPython brings it, but not on Windows

PROMPT = r"In \[\d+\]: "


def test_a_table_moves_and_the_result_is_printed(server: LookAlike) -> None:
    server.models |= {"v/a": Say("It is Paris"), "v/b": Say("Rome " * 40, gap_s=0.02)}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    words = ["-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-confirm-exit"]
    shell = pexpect.spawn(
        sys.executable,
        words,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
        dimensions=(30, 100),
        encoding="utf-8",
        timeout=30,
    )
    shell.expect(PROMPT)
    shell.sendline("%load_ext nbfuse")
    shell.expect(PROMPT)
    shell.sendline(
        "r = get_ipython().run_cell_magic('fuse', '-m openrouter:v/a,openrouter:v/b "
        "-j openrouter:v/judge --quorum 2', 'Which city?'); r"
    )
    shell.expect(r"writing.*tok/s.*Rome Rome")  # a member's line, with its last words
    shell.expect("1 of 2 answered")
    shell.expect(PROMPT)
    assert "It is Paris" in shell.before
    assert "best-of: judge, a" in shell.before
    shell.sendline("print(r.text)")
    shell.expect("It is Paris\r\n")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_a_run_that_fails_takes_the_table_away(server: LookAlike) -> None:
    words = ["-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-confirm-exit"]
    shell = pexpect.spawn(
        sys.executable, words, env=os.environ | {"TERM": "xterm"}, encoding="utf-8", timeout=30
    )
    shell.expect(PROMPT)
    shell.sendline("%load_ext nbfuse")
    shell.expect(PROMPT)
    shell.sendline(
        "get_ipython().run_cell_magic('fuse', '--strict -m openrouter:v/a', 'Which city?')"
    )
    shell.expect("NoAnswerError")
    shell.expect(PROMPT)
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
