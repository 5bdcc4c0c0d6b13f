"""Judges with one bad habit: it is found and named, and a good judge is not slandered."""

from __future__ import annotations

import asyncio

import panels
import pytest
from lookalike import LookAlike

import nbfuse
from nbfuse.core.measured import ENOUGH, Record
from nbfuse.core.types import Answer, FusionResult, Verdict
from nbfuse.evaluation import biases
from nbfuse.evaluation.questions import Question
from nbfuse.evaluation.results import ANCHORED_VOTE, FUSED, GUARDED, PoolReport
from nbfuse.evaluation.votes import Case, best_members, fold_of, record, trusted, vote

COUNT = 60


def report(server: LookAlike, habit: object, **judge: object) -> PoolReport:
    pool = panels.three(server, COUNT)
    # b is wrong at length on what a knows alone
    server.models["v/b"] = panels.member(
        {i for i in range(COUNT) if i % 5 in (2, 3)},
        2,
        "After a good deal of thought I find that it is",
    )
    server.models["v/judge"] = habit if judge.get("raw") else panels.judge(habit)
    found = asyncio.run(nbfuse.evaluate(panels.table(COUNT), pool, progress=False))
    return found.pools[0]


def named(found: PoolReport) -> set[str]:
    return {bias.name for bias in found.biases if bias.found}


def test_a_good_judge_has_no_bias_and_earns_its_place(server: LookAlike) -> None:
    found = report(server, panels.knowing)
    assert named(found) == set()
    record = found.measured.judges["openrouter:v/judge"]
    assert record == Record(right=36, vote_right=record.vote_right, asked=36)
    assert found.arm(GUARDED).accuracy == found.arm(FUSED).accuracy == 1.0


def test_a_judge_that_always_says_a_is_found(server: LookAlike) -> None:
    found = report(server, lambda _: "A")
    assert biases.POSITION in named(found)
    (bias,) = [bias for bias in found.biases if bias.name == biases.POSITION]
    assert bias.hits == bias.of
    assert bias.chance == pytest.approx(1 / 3, abs=0.2)
    assert found.arm(GUARDED).accuracy >= found.arm(ANCHORED_VOTE).accuracy - 0.05


def test_a_judge_that_prefers_the_longest_is_found_and_kept_in_check(server: LookAlike) -> None:
    found = report(server, panels.longest)
    assert named(found) == {biases.LENGTH}
    # it is never right: where its record shows that, the vote stands in for it
    assert found.measured.judges["openrouter:v/judge"].right == 0
    assert found.arm(FUSED).accuracy == pytest.approx(0.4)
    assert found.arm(GUARDED).accuracy == found.arm(ANCHORED_VOTE).accuracy > 0.4
    assert found.arm(GUARDED).mean_calls < found.arm(FUSED).mean_calls
    assert found.sentence.endswith(": use a alone")


def test_a_judge_that_cannot_be_read_half_the_time_is_found(server: LookAlike) -> None:
    found = report(server, panels.garbled(2, panels.knowing), raw=True)
    (bias,) = [bias for bias in found.biases if bias.name == biases.UNREADABLE]
    assert bias.found
    assert bias.hits / bias.of == pytest.approx(0.5, abs=0.1)
    assert named(found) == {biases.UNREADABLE}


# --- the arithmetic, on cases made by hand ----------------------------------------------------


def case(i: int, marks: tuple[float, ...], best: int, flagged: str = "", by: str = "judge") -> Case:
    answers = tuple(
        Answer(member=name, spec=f"local:{name}", text=f"{name * (j + 1)} {mark}", local=True)
        for j, (name, mark) in enumerate(zip("xyz", marks, strict=True))
    )
    result = FusionResult(
        run=str(i),
        prompt="?",
        mode="best-of",
        text=answers[best].text,
        verdict=Verdict(decided_by=by, best="xyz"[best], flagged=tuple(flagged)),
        answers=answers,
    )
    question = Question(id=f"q{i}", text="?", reference="1")
    return Case(question, "text", answers, marks, result, marks[best])


def test_a_judge_that_obeys_who_speaks_to_it_is_found() -> None:
    some = [case(i, (0, 1, 0), 0, "x") for i in range(8)]
    found = {bias.name: bias for bias in biases.find(some)}
    assert found[biases.OBEYS].found
    assert found[biases.OBEYS].chance == pytest.approx(1 / 3)
    fair = [case(i, (0, 1, 0), i % 3, "x") for i in range(9)]
    assert not {bias.name: bias for bias in biases.find(fair)}[biases.OBEYS].found


def test_choosing_the_longest_is_no_bias_where_it_is_right() -> None:
    right = [case(i, (0, 0, 1), 2) for i in range(30)]
    assert biases.find(right) == ()
    wrong = [case(i, (1, 0, 0), 2) for i in range(30)]
    assert {bias.name for bias in biases.find(wrong) if bias.found} == {biases.LENGTH}


def test_a_judge_is_distrusted_only_on_enough_questions_of_other_folds() -> None:
    # the judge takes z, who is wrong; the anchored vote takes x, who is right
    few = [case(i, (1, 0, 0), 2) for i in range(ENOUGH - 1)]
    assert trusted(few, "label", ("x",) * 5, ({},) * 5, 0) == (True,) * 5
    many = [case(i, (1, 0, 0), 2) for i in range(10 * ENOUGH)]
    assert trusted(many, "label", ("x",) * 5, ({},) * 5, 0) == (False,) * 5
    assert record(many, "label", ("x",) * 5, ({},) * 5, 0) == Record(0, 10 * ENOUGH, 10 * ENOUGH)
    # bad in one fold alone, it is trusted there for what it does elsewhere
    mixed = [
        c if fold_of(c.question, 0) == 3 else case(i, (0, 1, 0), 1) for i, c in enumerate(many)
    ]
    assert trusted(mixed, "label", ("x",) * 5, ({},) * 5, 0)[3]


def test_a_judge_has_to_lead_by_more_than_luck_brings() -> None:
    assert Record(60, 45, 100).clearly_better
    assert not Record(50, 45, 100).clearly_better  # a standard error is 7
    assert not Record(45, 60, 100).clearly_better
    assert not Record(0, 0, 0).clearly_better


def test_the_best_member_of_a_fold_is_chosen_on_the_others() -> None:
    # y is right in fold 2 alone, z everywhere else, the anchor x nowhere
    names = ("x", "y", "z")
    cases = [case(i, (0, 0, 1), 2) for i in range(50)]
    cases = [case(int(c.result.run), (0, 1, 0), 1) if fold_of(c.question, 0) == 2 else c
             for c in cases]  # fmt: skip
    chosen = best_members(cases, names, "x", 0)
    assert chosen[2] == "z"  # although y is right in all of it
    assert set(chosen) == {"z"}
    elsewhere = [c for c in cases if fold_of(c.question, 0) == 2]
    assert best_members(elsewhere, names, "x", 0)[2] == "x"  # nothing is known of the others
    assert best_members(elsewhere, names, "x", 0)[1] == "y"


def test_the_anchor_stays_where_nobody_is_clearly_better() -> None:
    alike = [case(i, (0, 1, 0) if i % 2 else (1, 0, 0), 1) for i in range(90)]
    assert best_members(alike, ("x", "y", "z"), "x", 0) == ("x",) * 5
    better = [case(i, (0, 1, 0) if i % 9 < 7 else (1, 0, 0), 1) for i in range(90)]
    assert best_members(better, ("x", "y", "z"), "x", 0) == ("y",) * 5


QUESTION = Question(id="q", text="How many?", reference="1")


def test_ties_of_a_vote_go_to_the_anchor() -> None:
    answers = [
        Answer(member=name, spec="s", text=text)
        for name, text in zip("abcd", ("It is 1", "It is 2", "so 2", "so 1"), strict=True)
    ]
    assert vote(QUESTION, answers, "number", "a").member == "a"
    assert vote(QUESTION, answers, "number", "c").member == "c"
    assert vote(QUESTION, answers[:3], "number", "a").member == "b"
    assert vote(QUESTION, answers[:3], None, "c").member == "c"  # nothing to compare: the anchor's
    assert vote(QUESTION, [Answer(member="a", spec="s", status="failed")], "number", "a") is None
