"""Whole evaluations against the look-alike: what is asked, how often, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import lookalike
import panels
import pytest
from lookalike import Fail, LookAlike, Say

import nbfuse
from nbfuse import Evaluation, Pool, from_json, to_json
from nbfuse.core.errors import BudgetError, ConfigError, NoAnswerError
from nbfuse.evaluation.results import (
    FUSED,
    PLAIN_VOTE,
    SELF_PANEL,
)

THREE = panels.pool("a", "b", "c")


def run(questions: object, *words: object, **more: object) -> Evaluation:
    return asyncio.run(nbfuse.evaluate(questions, *words, **{"progress": False, **more}))


def asked(server: LookAlike) -> Counter[str]:
    return Counter(r.body.get("model") for r in server.requests if r.body)


def test_all_arms_stand_on_the_same_answers(server: LookAlike) -> None:
    found = run(panels.table(20), panels.three(server))
    (report,) = found.pools
    accuracy = {arm.arm: arm.accuracy for arm in report.arms}
    assert {name: accuracy[name] for name in "abc"} == {"a": 0.6, "b": 0.4, "c": 0.4}
    assert accuracy[FUSED] == 1.0  # somebody always knows, and so does the judge
    # a is right alone on 0 and 1, b and a agree on 2, b and c on 3, c is right alone on 4
    assert accuracy[PLAIN_VOTE] == 0.8
    assert report.best == "a"
    assert len(report.mended) == 8
    assert report.broken == ()
    assert report.judged == 12
    assert (report.arm("a").total_cost, report.arm("a").mean_cost) == (
        Decimal("0.020"),
        Decimal("0.001"),
    )
    judging = len(server.asked("v/judge"))
    assert report.arm(FUSED).total_cost == Decimal("0.001") * (60 + judging)
    assert report.calls == 60 + judging
    assert report.arm(PLAIN_VOTE).total_cost == Decimal("0.060")
    assert asked(server)["v/b"] == 20
    assert asked(server)["v/a"] == 20 + report.samples * 20  # and the self-panel
    assert report.arm(SELF_PANEL).mean_cost == Decimal("0.001") * report.samples
    assert report.samples == round((60 + judging) / 20)
    assert found.sentence == report.sentence
    assert found.sentence.startswith("Fusion beats your best single model by 40.0 points (95 % ")
    assert found.sentence.endswith(f" at {(60 + judging) / 20:.1f} × its cost")


def test_an_arm_takes_as_long_as_its_slowest_call_and_the_judge(server: LookAlike) -> None:
    pool = panels.three(server, 4)
    slow = server.models["v/b"]
    server.models["v/b"] = lambda body: Say(slow(body).text, first_s=0.3)
    report = run(panels.table(4), pool).pools[0]
    assert report.arm("a").p50_s < 0.2
    assert report.arm("b").p50_s > 0.29
    assert report.arm(PLAIN_VOTE).p50_s > 0.29
    assert report.arm(FUSED).p95_s >= report.arm(PLAIN_VOTE).p95_s


def test_what_early_stopping_and_agreeing_save_is_counted(server: LookAlike) -> None:
    everything = range(10)
    server.models |= {f"v/{name}": panels.member(everything) for name in "ab"}
    server.models["v/c"] = lambda body: Say(panels.member(())(body).text, first_s=0.2)
    report = run(panels.table(10), panels.pool("a", "b", "c")).pools[0]
    # a and b agree before c has answered: c and the judge are spared each time
    assert (report.spared, report.calls, report.judged) == (20, 30, 0)
    assert not server.asked("v/judge")
    assert report.measured.classes["majority"].asked == 10


def test_pools_share_the_answers_of_the_models_that_they_share(server: LookAlike) -> None:
    one = panels.three(server, 6)
    two = panels.pool("a", "c", name="two")
    found = run(panels.table(6), [one, two])
    assert [report.pool for report in found.pools] == ["three", "two"]
    assert asked(server)["v/b"] == 6
    assert {report.best for report in found.pools} == {"a"}
    assert asked(server)["v/a"] == 6 + 6 * max(report.samples for report in found.pools)
    assert "with three" in found.sentence or "with two" in found.sentence
    assert found.measured("two").models.keys() == {"openrouter:v/a", "openrouter:v/c"}
    with pytest.raises(ConfigError, match="several pools"):
        found.measured()


def test_another_temperature_is_another_answer(server: LookAlike) -> None:
    one = panels.three(server, 4)
    two = panels.pool("a", "b", name="hot", temperature=1.5)
    run(panels.table(4), [one, two])
    assert sorted({b.get("temperature") for b in server.asked("v/b")}, key=str) == [1.5, None]


def test_two_samples_of_one_model_are_two_members(server: LookAlike) -> None:
    panels.three(server, 6)
    pool = Pool(members=("openrouter:v/a*2", "openrouter:v/c"), judge="openrouter:v/judge")
    report = run(panels.table(6), pool).pools[0]
    assert report.members == ("a#1", "a#2", "c")
    assert {b.get("temperature") for b in server.asked("v/a")} == {0.8}
    assert report.measured.models["openrouter:v/a"].asked == 6


def test_two_models_of_one_name_are_told_apart(server: LookAlike) -> None:
    panels.three(server, 5)
    server.models["w/a"] = panels.member(range(5))
    pool = Pool(
        members=("openrouter:v/a", "openrouter:w/a"), judge="openrouter:v/judge", answer="number"
    )
    report = run(panels.table(5), pool).pools[0]
    assert report.members == ("a#1", "a#2")
    assert report.best == "a#2"
    assert report.measured.models["openrouter:w/a"].right == 5


def test_who_always_fails_is_wrong_and_said_to_be(server: LookAlike) -> None:
    pool = panels.three(server, 10)
    server.models["v/b"] = Fail(400, {"code": 400, "message": "no such thing"})
    found = run(panels.table(10), pool)
    assert found.pools[0].arm("b").accuracy == 0.0
    assert any("b (pool three) failed on all 10 questions" in note for note in found.notes)


def test_a_question_that_nobody_answers_is_wrong_for_all_arms(server: LookAlike) -> None:
    pool = panels.three(server, 10)
    for name in "abc":
        usual = server.models[f"v/{name}"]
        server.models[f"v/{name}"] = lambda body, usual=usual: (
            Fail(400, {"code": 400, "message": "no"}) if panels.number(body) == 7 else usual(body)
        )
    found = run(panels.table(10), pool)
    assert {o.mark for o in found.outcomes if o.question == "q7"} == {0.0}
    assert any("answered 1 question, wrong for all: q7" in note for note in found.notes)
    assert found.pools[0].arm(FUSED).asked == 10


def test_nobody_ever_answering_ends_it_early(server: LookAlike) -> None:
    with pytest.raises(NoAnswerError) as error:
        run(panels.table(50), panels.pool("x", "y"), concurrency=1)
    assert "any of the first 5 questions" in str(error.value)
    assert "No endpoints found for v/x" in str(error.value)
    assert asked(server)["v/x"] == 5


# --- the grader -------------------------------------------------------------------------------


def test_a_grader_that_raises_costs_its_question_alone(server: LookAlike) -> None:
    def grade(text: str, row: dict) -> bool:
        if row["id"] == "q3":
            raise KeyError("gold")
        return text.endswith(f" {row['reference']}")

    found = run(panels.table(10), panels.three(server, 10), grade=grade)
    assert found.pools[0].arm(FUSED).asked == 9
    assert any(
        "1 of 10 questions could not be graded" in note
        and "q3" in note
        and "KeyError: 'gold'" in note
        for note in found.notes
    )
    (kept,) = [o for o in found.outcomes if o.question == "q3"]
    assert (kept.arm, kept.mark) == (FUSED, None)
    assert kept.text


def test_a_grader_that_always_raises_keeps_the_journal(server: LookAlike, tmp_path: Path) -> None:
    def broken(text: str, row: dict) -> bool:
        raise ZeroDivisionError("oh")

    out = tmp_path / "j.jsonl"
    with pytest.raises(ConfigError, match=r"failed on all 10 questions; on q0: ZeroDivisionError"):
        run(panels.table(10), panels.three(server, 10), grade=broken, out=out, concurrency=1)
    before = asked(server)
    found = run(panels.table(10), panels.three(server, 10), out=out)
    assert found.pools[0].arm(FUSED).accuracy == 1.0
    assert asked(server)["v/b"] == before["v/b"] == 10


# --- the journal ------------------------------------------------------------------------------


def stopped_after(count: int) -> object:
    """A grader in whose `count`-th question the evaluation is cancelled, as Ctrl-C does."""
    seen: set[str] = set()

    def grade(text: str, row: dict) -> bool:
        seen.add(row["id"])
        if len(seen) == count:
            whole.cancel()
        return text.endswith(f" {row['reference']}")

    async def work(questions: object, pool: Pool, out: Path) -> None:
        nonlocal whole
        whole = asyncio.create_task(
            nbfuse.evaluate(questions, pool, grade=grade, out=out, progress=False, concurrency=1)
        )
        await whole

    whole: asyncio.Task[Evaluation]
    return work


def test_a_stopped_evaluation_goes_on_and_pays_nothing_twice(
    server: LookAlike, tmp_path: Path
) -> None:
    pool, out = panels.three(server), tmp_path / "folder" / "j.jsonl"
    whole = run(panels.table(20), pool)
    once = asked(server)
    server.requests.clear()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped_after(8)(panels.table(20), pool, out))
    assert 7 <= asked(server)["v/b"] <= 9
    resumed = run(panels.table(20), pool, out=out)
    assert asked(server) == once
    assert resumed.sentence == whole.sentence
    assert resumed.spent == whole.spent
    assert [(o.question, o.arm, o.mark) for o in resumed.outcomes] == [
        (o.question, o.arm, o.mark) for o in whole.outcomes
    ]
    run(panels.table(20), pool, out=out)  # once more: all is there
    assert asked(server) == once


def test_of_a_half_done_question_what_was_answered_is_kept(
    server: LookAlike, tmp_path: Path
) -> None:
    pool, out = panels.three(server, 10), tmp_path / "j.jsonl"
    usual = server.models["v/b"]
    server.models["v/b"] = lambda body: (
        Say("never", first_s=60) if panels.number(body) == 4 else usual(body)
    )

    async def stop_at_the_slow_one() -> None:
        work = asyncio.create_task(
            nbfuse.evaluate(panels.table(10), pool, out=out, progress=False, concurrency=1)
        )
        while not (  # noqa: ASYNC110 - a file has no event
            out.exists() and out.read_text().count('"question":"q4"') == 2
        ):
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.wait([work])

    asyncio.run(stop_at_the_slow_one())
    server.models["v/b"] = usual
    run(panels.table(10), pool, out=out)
    assert len([b for b in server.asked("v/b") if panels.number(b) == 4]) == 2
    assert len([b for b in server.asked("v/c") if panels.number(b) == 4]) == 1
    assert asked(server)["v/c"] == 10


def test_a_line_that_was_cut_off_is_dropped(server: LookAlike, tmp_path: Path) -> None:
    pool, out = panels.three(server, 6), tmp_path / "j.jsonl"
    first = run(panels.table(6), pool, out=out)
    out.write_bytes(out.read_bytes()[:-30])
    before = asked(server)["v/b"]
    again = run(panels.table(6), pool, out=out)
    assert again.sentence == first.sentence
    assert asked(server)["v/b"] == before
    for line in out.read_text().splitlines():
        json.loads(line)


def test_a_reference_can_be_mended_and_asks_nobody(server: LookAlike, tmp_path: Path) -> None:
    pool, out = panels.three(server, 6), tmp_path / "j.jsonl"
    rows = panels.table(6)
    rows[5]["reference"] = 99
    first = run(rows, pool, out=out)
    before = asked(server)["v/b"]
    assert first.pools[0].arm(FUSED).accuracy == pytest.approx(5 / 6)
    assert run(panels.table(6), pool, out=out).pools[0].arm(FUSED).accuracy == 1.0
    assert asked(server)["v/b"] == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: (rows[:5], THREE), "1 question missing here (q5)"),
        (
            lambda rows: ([*rows, {**rows[0], "id": "new"}], THREE),
            "1 question not in it (new)",
        ),
        (
            lambda rows: ([{**rows[0], "question": "Sum 1: what else?"}, *rows[1:]], THREE),
            "1 question worded anew (q0)",
        ),
        (lambda rows: (rows, panels.pool("a", "b")), "pool three has another members"),
        (lambda rows: (rows, panels.pool("a", "b", "c", name="x")), "pool x is not in it"),
        (
            lambda rows: (rows, panels.pool("a", "b", "c", temperature=0.5)),
            "pool three has another temperature",
        ),
    ],
)
def test_a_journal_of_something_else_is_refused(
    server: LookAlike, tmp_path: Path, change: object, said: str
) -> None:
    pool, out = panels.three(server, 6), tmp_path / "j.jsonl"
    run(panels.table(6), pool, out=out)
    kept = out.read_bytes()
    rows, other = change(panels.table(6))
    with pytest.raises(ConfigError) as error:
        run(rows, other, out=out)
    assert said in str(error.value)
    assert out.read_bytes() == kept


@pytest.mark.parametrize(
    "content", ["hello\n", "hello\nworld", "my thesis", '{"a": 1}\n', '{"type":"answer"}\n']
)
def test_a_file_that_is_no_journal_is_left_alone(
    server: LookAlike, tmp_path: Path, content: str
) -> None:
    out = tmp_path / "precious.txt"
    out.write_text(content)
    with pytest.raises(ConfigError, match="Give another file as out"):
        run(panels.table(2), panels.three(server, 2), out=out)
    assert out.read_text() == content
    assert not asked(server)["v/a"]


def test_a_higher_limit_goes_on_with_the_same_journal(server: LookAlike, tmp_path: Path) -> None:
    panels.three(server, 6)
    out = tmp_path / "j.jsonl"
    run(panels.table(6), panels.pool("a", "b", "c"), out=out)
    before = asked(server)
    run(panels.table(6), panels.pool("a", "b", "c", deadline_s=9.0, quorum=2), out=out)
    assert asked(server) == before


def test_who_failed_for_want_of_credit_is_asked_again(server: LookAlike, tmp_path: Path) -> None:
    pool, out = panels.three(server, 6), tmp_path / "j.jsonl"
    usual = server.models["v/b"]
    server.models["v/b"] = Fail(402, {"code": 402, "message": "no credits"})
    assert run(panels.table(6), pool, out=out).pools[0].arm("b").accuracy == 0.0
    server.models["v/b"] = usual
    server.requests.clear()
    assert run(panels.table(6), pool, out=out).pools[0].arm("b").accuracy > 0.0
    assert asked(server)["v/b"] == 6
    assert asked(server)["v/c"] == 0


# --- limits -----------------------------------------------------------------------------------


def test_a_budget_ends_the_asking_and_keeps_all(server: LookAlike, tmp_path: Path) -> None:
    pool, out = panels.three(server), tmp_path / "j.jsonl"
    found = run(panels.table(20), pool, out=out, budget="0.02", concurrency=1)
    (note,) = [note for note in found.notes if "budget" in note]
    asked_here = found.pools[0].arm(FUSED).asked
    assert f"{20 - asked_here} of 20 questions were not asked" in note
    assert Decimal("0.02") <= found.spent < Decimal("0.03")
    assert found.pools[0].arm(SELF_PANEL) is None
    whole = run(panels.table(20), pool, out=out, budget=1)
    assert whole.pools[0].arm(FUSED).asked == 20
    assert asked(server)["v/b"] == 20


def test_a_pools_own_budget_is_looked_at_before_anything_is_spent(server: LookAlike) -> None:
    panels.three(server, 3)
    server.listed = [
        {"id": f"v/{name}", "pricing": {"prompt": "0.01", "completion": "0.01"}}
        for name in ("a", "b", "c", "judge")
    ]
    with pytest.raises(BudgetError):
        run(panels.table(3), panels.pool("a", "b", "c", budget="0.001"))
    assert not asked(server)["v/a"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"budget": "much"}, "budget"),
        ({"budget": -1}, "budget"),
    ],
)
def test_wrong_limits_are_refused(server: LookAlike, more: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run(panels.table(2), panels.three(server, 2), **more)
    assert not asked(server)


def test_so_many_questions_are_asked_at_once_and_no_more(server: LookAlike) -> None:
    pool = panels.three(server, 12)
    most = 0

    def slow(body: dict) -> Say:
        nonlocal most
        most = max(most, server.streaming + 1)
        return Say(f"It is {2 * panels.number(body)}", first_s=0.05)

    server.models["v/a"] = server.models["v/b"] = server.models["v/c"] = slow
    run(panels.table(12), pool, concurrency=2)
    assert 3 < most <= 8  # two questions, three members each; or four samples of one, twice


# --- what comes back --------------------------------------------------------------------------


def test_it_goes_through_json_and_into_a_frame(server: LookAlike) -> None:
    found = run(panels.table(6), panels.three(server, 6))
    assert from_json(Evaluation, to_json(found)) == found
    frame = found.frame()
    assert type(frame).__module__.startswith("polars")
    assert len(frame) == len(found.outcomes) == 6 * 9
    assert set(frame["arm"]) == {arm.arm for _, arm in found.summary}
    assert frame["cost"].sum() > 0


def test_a_frame_is_of_pandas_where_there_is_no_polars(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    found = run(panels.table(2), panels.three(server, 2))
    monkeypatch.setitem(sys.modules, "polars", None)
    assert type(found.frame()).__module__.startswith("pandas")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="neither polars nor pandas"):
        found.frame()


@pytest.mark.timeout(60)
def test_the_tiny_pool_is_worth_fusing() -> None:
    rows = [
        {"question": f"What is {i} + {i + 3}?", "reference": 2 * i + 3, "kind": "number"}
        for i in range(10, 20)
    ]
    rows += [
        {"question": f"Convert {i} hours to minutes.", "reference": 60 * i, "kind": "number"}
        for i in range(2, 12)
    ]
    found = run(rows, "tiny")
    report = found.pools[0]
    assert report.arm(FUSED).accuracy >= 0.9
    assert report.arm("tiny-calc").accuracy <= 0.7
    assert report.arm(FUSED).total_cost == 0
    assert "× its time" in found.sentence


def test_a_key_never_gets_into_the_journal(server: LookAlike, tmp_path: Path) -> None:
    out = tmp_path / "j.jsonl"
    run(panels.table(2), panels.three(server, 2), out=out)
    assert lookalike.KEY not in out.read_text()


def test_a_judge_without_credits_is_no_verdict_on_fusion_and_is_asked_again(
    server: LookAlike, tmp_path: Path
) -> None:
    pool, out = panels.three(server), tmp_path / "out.jsonl"
    server.models["v/judge"] = Fail(402, {"code": 402, "message": "no credits"})
    poor = run(panels.table(20), pool, out=out)
    assert poor.sentence.startswith("No verdict on fusion: the judge judge was not heard on")
    assert any("which were fused without it: " in note for note in poor.notes)
    assert any("no credits left" in note for note in poor.notes)
    assert not any(bias.found for bias in poor.pools[0].biases)  # nothing was said that sways
    answered = asked(server)["v/c"]
    server.models["v/judge"] = panels.judge(panels.knowing)
    rich = run(panels.table(20), pool, out=out)
    assert rich.pools[0].arm("fused").accuracy == 1
    assert "No verdict" not in rich.sentence
    assert asked(server)["v/c"] == answered  # whose answers were there already
