"""Whole runs in which agreement decides: code that is run, weights that were measured, JSON."""

from __future__ import annotations

import asyncio
import sys

import asking
import pytest
from lookalike import LookAlike, Say, letter_of, verdict

from nbfuse import Pool, fuse
from nbfuse.core.errors import ConfigError
from nbfuse.core.measured import Measured, Record, Share
from nbfuse.core.types import FusionResult
from nbfuse.options import Parser, add_run_options, cell_line, pool_of

CODE = "Here it is:\n```python\n{}\n```\n"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="code is run on Linux alone so far")


def members(server: LookAlike, **answers: object) -> Pool:
    server.models |= {
        f"v/{name}": Say(said) if isinstance(said, str) else said for name, said in answers.items()
    }
    server.models["v/judge"] = verdict(letter_of("1"))
    specs = tuple(f"openrouter:v/{name}" for name in answers)
    return Pool(members=specs, judge="openrouter:v/judge", seed=1)


def run(pool: Pool, prompt: str = "Write it.", **more: object) -> FusionResult:
    return asyncio.run(fuse(prompt, pool, **more))


def known(pool: Pool, measured: Measured, prompt: str = "How much?") -> FusionResult:
    return asking.run(pool, prompt, measured)


# --- code -------------------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize("kind", [{"answer": "code"}, {}], ids=["told", "found out"])
def test_code_that_prints_the_same_agrees(server: LookAlike, kind: dict) -> None:
    pool = members(
        server,
        a=CODE.format("print(sum(range(10)))"),
        b=CODE.format("total = 0\nfor i in range(10):\n    total += i\nprint(total)"),
        c=CODE.format("print(46)"),
    )
    result = run(pool, run=True, quorum=3, **kind)
    assert result.verdict.decided_by == "agreement"
    assert result.verdict.best == "a"
    assert result.verdict.support[0] >= 2
    assert server.asked("v/judge") == []
    assert run(pool, quorum=3, answer="code").verdict.decided_by == "judge"  # not without leave


@LINUX
@pytest.mark.timeout(40)
def test_code_that_loops_or_forks_has_no_vote_and_is_named(server: LookAlike) -> None:
    pool = members(
        server,
        loop=CODE.format("print(1)\nimport sys; sys.stdout.flush()\nwhile True: pass"),
        bomb=CODE.format("print(1)\nimport os\nwhile True: os.fork()"),
        a=CODE.format("print(2)"),
        b=CODE.format("print(1 + 1)"),
        c=CODE.format("print(3)"),
    )
    result = run(pool, run=True, answer="code", quorum=5, grace_s=30)
    assert "loop's code did not end within 5 s." in result.notes
    assert any(note.startswith("bomb's code failed (PermissionError") for note in result.notes)
    assert result.verdict.decided_by == "judge"  # two of five are no majority
    assert result["loop"].status == "complete"  # the answer is whole: only its code was ended


@LINUX
def test_once_most_outputs_agree_the_rest_is_stopped(server: LookAlike) -> None:
    pool = members(
        server,
        a=CODE.format("print(6 * 7)"),
        b=CODE.format("print(42)"),
        slow=Say("so " * 500, gap_s=0.05),
    )
    result = run(pool, run=True)
    assert result.verdict.decided_by == "agreement"
    assert result["slow"].status == "stopped"
    assert any(note.startswith("2 of 3 agree, so slow was stopped") for note in result.notes)


@LINUX
def test_a_deadline_during_a_codes_run_leaves_its_answer_whole(server: LookAlike) -> None:
    pool = members(server, a=CODE.format("while True: pass"), b=CODE.format("print(1)"))
    result = run(pool, run=True, deadline_s=3.0, quorum=2, grace_s=0)
    assert result["a"].status == result["b"].status == "complete"
    assert result.seconds < 4


def test_running_code_fits_no_other_kind_of_answer() -> None:
    with pytest.raises(ConfigError, match="compares answers as number"):
        Pool(members=("a", "b"), answer="number", run=True)


def test_run_is_an_option_of_a_cell_and_comes_back_in_its_line() -> None:
    reader = Parser(prog="%%fuse", allow_abbrev=False)
    add_run_options(reader)
    pool, _ = pool_of(reader.parse_args(["--models", "local:tiny-calc*2", "--run"]))
    assert pool.run
    assert " --run" in cell_line(pool)


# --- weights ----------------------------------------------------------------------------------


def shares(**right: int) -> Measured:
    return Measured({f"openrouter:v/{name}": Share(n, 100) for name, n in right.items()})


def test_measured_accuracy_weighs_the_votes(server: LookAlike) -> None:
    said = {"a": "It is 1.", "b": "It is 1.", "c": "It is 2.", "d": "It is 2.", "e": "It is 2."}
    pool = Pool(
        members=members(server, **said).members,
        judge="openrouter:v/judge",
        answer="number",
        quorum=5,
    )
    assert known(pool, Measured()).verdict.best == "c"
    strong = known(pool, shares(a=90, b=90, c=60, d=60, e=60))
    assert (strong.verdict.decided_by, strong.verdict.best) == ("agreement", "a")
    assert strong.verdict.reason == "2 of 5 give the same number."
    partly = known(pool, shares(a=90, b=90))  # of the others nothing is known: all weigh alike
    assert partly.verdict.best == "c"


def test_one_heavy_member_does_not_decide_alone(server: LookAlike) -> None:
    said = {"a": "It is 1.", "b": "It is 2.", "c": "It is 2."}
    pool = Pool(
        members=members(server, **said).members, judge="openrouter:v/judge", answer="number"
    )
    result = known(pool, shares(a=99, b=55, c=55))
    assert result.verdict.decided_by == "judge"
    assert server.asked("v/judge")


def test_early_stop_counts_weights_too(server: LookAlike) -> None:
    said = {"a": "It is 2.", "b": "It is 2.", "c": Say("It is 1.", first_s=0.5)}
    pool = Pool(
        members=members(server, **said).members, judge="openrouter:v/judge", answer="number"
    )
    assert known(pool, Measured())["c"].status == "stopped"
    waited = known(pool, shares(a=55, b=55, c=99))  # it could still outvote both
    assert waited["c"].status == "complete"
    assert waited.verdict.decided_by == "judge"


ALONE = Record(right=60, vote_right=45, asked=100)  # a member by itself, and the best vote


def test_weak_members_do_not_outvote_one_that_was_better_alone(server: LookAlike) -> None:
    said = {"a": "It is 2.", "b": "It is 2.", "c": "It is 1."}
    pool = members(server, **said)
    pool = Pool(members=pool.members, judge=pool.judge, answer="number", quorum=3)
    assert known(pool, Measured()).text == "It is 2."
    leading = Measured(alone={"openrouter:v/c": ALONE})
    assert known(pool, leading).verdict.decided_by == "judge"
    server.models["v/judge"] = Say("er, well")
    result = known(pool, leading)
    assert (result.text, result.verdict.decided_by) == ("It is 1.", "fallback")
    assert "right most often" in result.verdict.reason
    for record in (Record(45, 60, 100), Record(10, 5, 15)):  # a vote was better; too few
        assert known(pool, Measured(alone={"openrouter:v/c": record})).text == "It is 2."


def test_in_mode_auto_who_outweighs_all_who_were_asked_is_asked_too(server: LookAlike) -> None:
    pool = members(server, a="It is 2.", b="It is 2.", c="It is 1.", d="It is 1.")
    pool = Pool(members=pool.members, judge=pool.judge, answer="number", mode="auto")
    assert known(pool, Measured())["c"].status == "not asked"
    result = known(pool, Measured(alone={"openrouter:v/c": ALONE}))
    assert [result[name].status for name in "abcd"] == ["complete"] * 4
    assert (result.text, result.verdict.decided_by) == ("It is 1.", "agreement")
    result = known(pool, Measured(alone={"openrouter:v/a": ALONE}))
    assert (result.text, result["c"].status) == ("It is 2.", "not asked")


# --- JSON and options -------------------------------------------------------------------------


def test_an_object_that_most_agree_with_in_each_field_is_taken_verbatim(server: LookAlike) -> None:
    pool = members(server, a='{"x": 1, "y": 3}', b='{"x": 1.0, "y": 2}', c='{"x": 0, "y": 2}')
    result = run(pool, answer="json", quorum=3)
    assert (result.verdict.decided_by, result.verdict.best) == ("agreement", "b")
    assert result.text == '{"x": 1.0, "y": 2}'
    assert result.verdict.reason == "Most agree with b in each of 2 fields."
    pool = members(server, a='{"x": 1, "y": 3}', b='{"x": 1, "y": 2}', c='{"x": 0, "y": 4}')
    assert run(pool, answer="json", quorum=3).verdict.decided_by == "judge"


def test_options_of_the_question_agree_by_letter_or_text_without_being_told(
    server: LookAlike,
) -> None:
    pool = members(server, a="Rome", b="B) Rome", c="A")
    result = run(pool, "Which is in Italy?\nA) Paris\nB) Rome", quorum=3)
    assert result.verdict.decided_by == "agreement"
    assert result.verdict.reason.endswith("give the same choice.")
    assert result.text == "Rome"
