"""Whole comparisons against the look-alike: what is asked and paid, and what goes wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from decimal import Decimal
from pathlib import Path

import panels
import pytest
import reviewing
from lookalike import Fail, LookAlike

import nbfuse
from nbfuse import Comparison, from_json, to_json
from nbfuse.comparison import tables
from nbfuse.comparison.ballots import export
from nbfuse.comparison.voting import verdict
from nbfuse.core.errors import BudgetError, ConfigError, NoAnswerError
from nbfuse.ledger.ballots import Ballots
from nbfuse.ledger.ledger import Ledger

A, B, JUDGE = "openrouter:v/a", "openrouter:v/b", "openrouter:v/judge"


def compared(*contenders: object, **more: object) -> Comparison:
    asked = {"questions": panels.table(12), "judge": JUDGE, "progress": False, **more}
    return asyncio.run(nbfuse.compare(*contenders, **asked))


@pytest.fixture
def good_and_bad(server: LookAlike) -> LookAlike:
    """Model a knows everything, model b nothing; the reviewers read what was measured."""
    server.models |= {
        "v/a": panels.member(range(12)),
        "v/b": panels.member([]),
        "v/judge": reviewing.reviewer(),
    }
    return server


def test_the_better_one_is_to_be_shipped_and_all_is_counted(good_and_bad: LookAlike) -> None:
    found = compared(A, B)
    assert found.decision.winner == A
    assert found.decision.confidence == "high"
    sentence = f"Ship {A}. It leads {B} by 100 of 100 points, over 5 reviewers."
    measured = f"Measured, {A} is right more often than {B}, by 100 points."
    assert found.decision.sentence == f"{sentence} {measured}"
    assert [split.verdict for split in found.splits] == [
        "Ship · 5 ship / 0 skip",
        "Skip · 0 ship / 5 skip",
    ]
    assert [one.accuracy for one in found.figures] == [1.0, 0.0]
    assert found.apart[0].by[0] == "accuracy"
    assert (found.versus[0].agree, found.versus[0].comparable) == (0, 12)
    assert len(good_and_bad.asked("v/a")) == 12
    assert len(good_and_bad.asked("v/judge")) == 10  # five reviewers, two orders
    assert found.spent == Decimal("0.001") * (24 + 10)
    assert found.pricing[0].question == Decimal("0.001")
    assert from_json(Comparison, to_json(found)) == found


def test_reviewers_see_letters_in_both_orders_and_no_names(good_and_bad: LookAlike) -> None:
    compared(A, B)
    for body in good_and_bad.asked("v/judge"):
        text = "".join(message["content"] for message in body["messages"])
        assert "v/a" not in text
        assert "v/b" not in text
    orders = [
        [reviewing.right(one) for one in reviewing.seen(body["messages"][-1]["content"])]
        for body in good_and_bad.asked("v/judge")
    ]
    assert all(sorted(order) == [0, 0, 4] for order in orders)  # one of the two bad is the control
    assert sum(order[0] for order in orders) == sum(order[-1] for order in orders)
    read = [
        {
            asked
            for one in reviewing.seen(body["messages"][-1]["content"])
            for asked, _ in one.answers
        }
        for body in good_and_bad.asked("v/judge")
    ]
    assert sum(len(those) for those in read) == 24  # each question by one reviewer, in two orders


def test_a_stopped_comparison_goes_on_and_nothing_is_paid_twice(good_and_bad: LookAlike) -> None:
    compared(A, B, questions=panels.table(5))
    before = len(good_and_bad.requests)
    again = compared(A, B, questions=panels.table(5))
    assert len(good_and_bad.requests) == before
    assert again.spent == 0
    assert "20 of 20 calls had been made before and were used again." in again.notes
    more = compared(A, B, questions=panels.table(6))
    assert 10 <= more.reused < 20  # who reads other questions now reviews anew
    assert len(compared(A, B, questions=panels.table(5), fresh=True).notes) == 0


def test_answers_of_earlier_runs_are_used_and_their_prompts_asked(good_and_bad: LookAlike) -> None:
    with pytest.raises(ConfigError, match="no earlier prompts"):
        compared(A, B, questions=None)
    pool = panels.pool("a", "b", name="", mode="best-of", answer=None)
    good_and_bad.models["v/judge"] = panels.judge(panels.knowing)
    asyncio.run(nbfuse.fuse("Sum 3: what is 3 + 3?", pool))
    asyncio.run(nbfuse.fuse("Sum 4: what is 4 + 4?", pool))
    good_and_bad.models["v/judge"] = reviewing.reviewer()
    asked = len(good_and_bad.asked("v/a"))
    found = compared(A, B, questions=None)
    assert [question.text for question in found.questions] == [
        "Sum 4: what is 4 + 4?",
        "Sum 3: what is 3 + 3?",
    ]
    assert len(good_and_bad.asked("v/a")) == asked
    assert found.reused == 4
    assert "Asked are your last 2 prompts, from the history." in found.notes
    assert found.pricing[0].monthly == 60


def test_a_pool_costs_what_all_its_calls_do(good_and_bad: LookAlike) -> None:
    members = panels.pool("a", "b", name="both", mode="best-of", judge="openrouter:v/picks")
    good_and_bad.models["v/picks"] = panels.judge(panels.knowing)
    found = compared(members, A, questions=panels.table(4))
    both, alone = found.pricing
    picks = len(good_and_bad.asked("v/picks"))
    assert both.question == Decimal("0.001") * (8 + picks) / 4
    assert both.overhead == pytest.approx((8 + picks) / 4)
    assert alone.overhead is None
    assert len(good_and_bad.asked("v/a")) == 4  # asked once for both contenders
    assert found.names == ("pool:both", A)


def test_saved_results_are_compared_without_asking_anybody(good_and_bad: LookAlike) -> None:
    prompt = "Sum 3: what is 3 + 3?"
    one = asyncio.run(nbfuse.fuse(prompt, nbfuse.Pool(members=(A,))))
    other = asyncio.run(nbfuse.fuse(prompt, nbfuse.Pool(members=(B,))))
    before = len(good_and_bad.asked("v/a"))
    found = compared(one, f"run:{other.run[:8]}", questions=None)
    assert len(good_and_bad.asked("v/a")) == before
    assert [sample.text for sample in found.samples] == ["It is 6", "It is 7"]
    with pytest.raises(ConfigError, match="answered its own question"):
        compared(one, A)
    elsewhere = asyncio.run(nbfuse.fuse("Sum 4: what is 4 + 4?", nbfuse.Pool(members=(A,))))
    with pytest.raises(ConfigError, match="different questions"):
        compared(one, elsewhere, questions=None)


def test_failures_are_counted_shown_and_in_no_mean(good_and_bad: LookAlike) -> None:
    knows = panels.member(range(12))
    broken = Fail(400, {"code": 400, "message": "No."})
    good_and_bad.models["v/b"] = lambda body: broken if panels.number(body) % 2 else knows(body)
    found = compared(A, B)
    b = found.figures[1]
    assert (b.failed, b.asked, b.accuracy) == (6, 12, 0.5)
    assert any(f"{B} failed on 6 of 12 questions" in note for note in found.notes)
    assert {question.id for question in found.questions[:6]} == {f"q{i}" for i in range(1, 12, 2)}


def test_where_nobody_answers_there_is_no_page(server: LookAlike) -> None:
    server.models |= {"v/a": Fail(401, "no"), "v/b": Fail(401, "no")}
    with pytest.raises(NoAnswerError, match="any of the first 5 questions"):
        compared(A, B)


def test_an_unknown_price_is_unknown(good_and_bad: LookAlike) -> None:
    good_and_bad.models["v/b"] = panels.member([], cost=None)
    found = compared(A, B)
    assert found.pricing[1].question is None
    assert found.pricing[1].month is None
    assert found.spent is None
    assert (
        "The price of 12 calls is not known; what was spent without them is $0.022." in found.notes
    )
    assert "price not known; not known a question" in str(found)


def test_the_estimate_holds_the_reviews_and_a_budget_ends_it(good_and_bad: LookAlike) -> None:
    price = {"prompt": "0.00000001", "completion": "0.00000001"}
    good_and_bad.listed = [
        {"id": f"v/{name}", "context_length": 100_000, "pricing": price}
        for name in ("a", "b", "judge")
    ]
    found = compared(A, B)
    assert found.estimate.low is not None
    asked = 24 * (8 + 150) * Decimal("0.00000001")
    assert found.estimate.low > asked  # and ten reviews
    assert found.estimate.high > found.estimate.low
    with pytest.raises(BudgetError, match=r"costs .* at least"):
        compared(A, B, budget="0.00000001", fresh=True)
    few = compared(A, B, budget="0.01", concurrency=1, fresh=True)
    assert few.decision.winner is None
    assert len(few.questions) == 5
    assert any("7 of 12 questions were not asked" in note for note in few.notes)


@pytest.mark.parametrize(
    ("contenders", "more", "said"),
    [
        ((A,), {}, "1 contender can't be compared"),
        ((A,) * 5, {}, "5 contenders"),
        ((A, 7), {}, "A int can't be compared"),
        ((A, "pool:nowhere"), {}, "nowhere"),
        ((A, B), {"concurrency": 0}, "concurrency"),
        ((A, B), {"monthly": 0}, "monthly"),
        ((A, B), {"questions": []}, "no questions"),
        ((A, B), {"record": "a", "replay": "b"}, "recorded or replayed"),
        ((A, B), {"judge": "nobody"}, "nobody"),
    ],
)
def test_mistakes_are_named_before_anything_is_asked(
    contenders: tuple[object, ...], more: dict[str, object], said: str, server: LookAlike
) -> None:
    with pytest.raises(ConfigError, match=said):
        compared(*contenders, **more)
    assert not [request for request in server.requests if request.method == "POST"]


def test_a_contender_that_reviews_is_warned_of_and_the_same_twice_is_said(
    good_and_bad: LookAlike,
) -> None:
    good_and_bad.models["v/a"] = lambda body: (
        reviewing.reviewer()(body) if "response_format" in body else panels.member(range(12))(body)
    )
    found = compared(A, A, judge=A)
    assert found.names == (A, f"{A} #2")
    assert any("plays the reviewers, and has a part in" in note for note in found.notes)
    assert any("are the same: they differ by chance" in note for note in found.notes)
    assert "cannot be told apart" in found.decision.sentence
    assert found.decision.winner is None


def test_recorded_it_comes_again_without_key_and_network(
    good_and_bad: LookAlike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = tmp_path / "tape.jsonl"
    found = compared(A, B, questions=panels.table(3), record=tape)
    asked = len(good_and_bad.requests)
    monkeypatch.delenv("OPENROUTER_API_KEY")
    again = compared(A, B, questions=panels.table(3), replay=tape)
    assert len(good_and_bad.requests) == asked
    assert [s.text for s in again.samples] == [s.text for s in found.samples]
    assert again.takes == found.takes
    assert again.decision == found.decision


def test_a_table_answers_for_its_models(good_and_bad: LookAlike) -> None:
    rows = [
        {
            **row,
            "x": "It is -1",
            "y": f"It is {row['reference']}",
        }
        for row in panels.table(8)
    ]
    table = nbfuse.replay.from_table(rows, models=["x", "y"])
    found = compared("table:x", "table:y", questions=rows, replay=table)
    assert found.decision.winner == "table:y"


def test_questions_may_lack_references(good_and_bad: LookAlike) -> None:
    good_and_bad.models["v/judge"] = reviewing.reviewer(lambda one: 4 if "6" in str(one) else 1)
    found = compared(A, B, questions=["Sum 1: what is 1 + 1?", "Sum 2: what is 2 + 2?"])
    assert [one.accuracy for one in found.figures] == [None, None]
    half = [{"question": "Sum 1: what is 1 + 1?", "reference": 2}, {"question": "Sum 2: 2 + 2?"}]
    assert [one.graded for one in compared(A, B, questions=half).figures] == [1, 1]


def test_failures_do_not_make_anybody_cheap(good_and_bad: LookAlike) -> None:
    knows = panels.member(range(12))
    broken = Fail(400, {"code": 400, "message": "No."})
    good_and_bad.models["v/b"] = lambda body: broken if panels.number(body) % 2 else knows(body)
    assert [one.cost for one in compared(A, B).figures] == [Decimal("0.001")] * 2
    good_and_bad.models["v/b"] = broken
    found = compared(A, B, fresh=True)
    assert found.figures[1].cost is None
    assert "not known a question" in str(found)
    assert "price" not in tables.best_for(found)[B]
    assert found.decision.winner is None or found.decision.winner == A


def test_what_reviews_cost_is_not_said_to_be_left_out(good_and_bad: LookAlike) -> None:
    dear = reviewing.reviewer()
    good_and_bad.models["v/judge"] = lambda body: dataclasses.replace(dear(body), cost="5")
    found = compared(A, B, budget="0.05")
    takes = [take for take in found.takes if take.score is not None]
    assert {take.reviewer for take in takes} == {"Builder"}  # the others came after the budget
    assert "The budget of $0.05 is spent: 4 of 5 reviewers were not heard." in found.notes
    assert len(good_and_bad.asked("v/judge")) == 2
    assert "The budget was spent before its turn." in {take.why for take in found.takes}


def test_what_cannot_be_read_of_the_ledger_is_asked_anew(good_and_bad: LookAlike) -> None:
    compared(A, B, questions=panels.table(3))
    with sqlite3.connect(Ledger().path) as file:
        file.execute("UPDATE kept SET value = '{\"future\": 1}'")
    assert compared(A, B, questions=panels.table(3)).reused == 0


def test_a_judge_that_cannot_judge_is_said_to_be_one(good_and_bad: LookAlike) -> None:
    rows = [{**row, "x": "1", "y": "2"} for row in panels.table(8)]
    table = nbfuse.replay.from_table(rows, models=["x", "y"])
    found = compared("table:x", "table:y", questions=rows, replay=table, judge="table:x")
    assert found.takes == ()
    assert not found.marks_only
    assert "x can't judge: nobody reviewed. Name another judge." in found.notes


@pytest.mark.parametrize("count", [3, 4])
def test_three_and_four_are_compared_each_with_each(count: int, good_and_bad: LookAlike) -> None:
    good_and_bad.models |= {"v/c": panels.member(range(6)), "v/d": panels.member([1])}
    found = compared(*(f"openrouter:v/{name}" for name in "abcd"[:count]))
    assert len(found.apart) == len(found.versus) == count * (count - 1) / 2
    assert found.splits[0].mean == 100
    assert len(good_and_bad.asked("v/judge")) == 10
    assert all(f"openrouter:v/{name}" in str(found) for name in "abcd"[:count])


def test_the_same_model_in_another_dress_is_said(good_and_bad: LookAlike) -> None:
    found = compared(A, nbfuse.Pool(members=(A,), name="solo"), questions=panels.table(2))
    assert f"{A} and pool:solo are the same: they differ by chance." in found.notes
    run = asyncio.run(nbfuse.fuse("Sum 3: what is 3 + 3?", nbfuse.Pool(members=(A,))))
    twice = compared(run, run, questions=None)
    assert any("are the same result" in note for note in twice.notes)


def test_a_communitys_votes_stand_beside_ones_own(good_and_bad: LookAlike, tmp_path: Path) -> None:
    other = Ballots(tmp_path / "other.sqlite3")
    other.cast(verdict(other.voter(), "ship", A, ()))
    export(other.all(), tmp_path / "votes", other.voter(), prompts=False)
    Ballots().cast(verdict(Ballots().voter(), "skip", A, ()))
    export(Ballots().all(), tmp_path / "votes", Ballots().voter(), prompts=False)  # counts once
    found = compared(A, B, questions=panels.table(2), votes=tmp_path / "votes")
    assert [(one.contender, one.ship, one.skip) for one in found.votes] == [(A, 1, 1)]
