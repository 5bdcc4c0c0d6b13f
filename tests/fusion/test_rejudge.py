"""Answers that are there already, judged again: nobody is paid twice."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest
from lookalike import Fail, LookAlike, Say, letter_of, verdict

from nbfuse import FusionResult, Pool, fuse, promote, rejudge
from nbfuse.core.errors import ConfigError, PrivacyError
from nbfuse.ledger.ledger import Ledger
from nbfuse.render.text import to_text

POOL = Pool(members=("openrouter:v/a", "openrouter:v/b"), judge="openrouter:v/judge", quorum=2)


@pytest.fixture
def first(server: LookAlike) -> FusionResult:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    server.models["v/other"] = verdict(letter_of("Paris"))
    return asyncio.run(fuse("capital?", POOL))


def test_another_judge_decides_on_the_same_answers(server: LookAlike, first: FusionResult) -> None:
    again = asyncio.run(rejudge(first, judge="openrouter:v/other"))
    assert (first.text, again.text) == ("Rome", "Paris")
    assert again.judge == "openrouter:v/other"
    assert [answer.text for answer in again.answers] == ["Paris", "Rome"]
    assert {answer.earlier for answer in again.answers} == {first.run}
    assert len(server.asked("v/a")) == len(server.asked("v/b")) == 1
    assert again.cost == sum((call.cost for call in again.judging), Decimal(0))
    assert 0 < again.cost < first.cost
    assert "$0.0010 before" in to_text(again)


def test_only_who_had_failed_is_asked_once_more(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Fail(402, {"message": "no money"})}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    broken = asyncio.run(fuse("capital?", POOL))
    assert broken["b"].failure
    server.models["v/b"] = Say("Rome")
    same = asyncio.run(rejudge(broken))
    assert same["b"].failure == broken["b"].failure
    assert len(server.asked("v/b")) == 1
    mended = asyncio.run(rejudge(broken, retry=True))
    assert mended.text == "Rome"
    assert len(server.asked("v/a")) == 1
    assert (mended["a"].earlier, mended["b"].earlier) == (broken.run, "")
    assert mended.cost == mended["b"].cost + sum(call.cost for call in mended.judging)


def test_settings_hold_again_and_all_who_are_asked_again_are_waited_for(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Fail(402, {"message": "no money"})}
    server.models |= {"v/c": Fail(402, {"message": "no money"})}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    pool = Pool(members=(*POOL.members, "openrouter:v/c"), judge=POOL.judge, system="Be short.")
    broken = asyncio.run(fuse("capital?", pool, max_tokens=99))
    server.models["v/c"] = Say("Rome", first_s=1.5)  # later than any grace
    mended = asyncio.run(rejudge(broken, retry=True))
    assert mended.text == "Rome"
    asked = server.asked("v/c")[-1]
    assert asked["messages"][0] == {"role": "system", "content": "Be short."}
    assert asked["max_tokens"] == 99


def test_half_an_answer_is_not_judged(server: LookAlike, first: FusionResult) -> None:
    half = msgspec.structs.replace(first["b"], text="Rome is the", status="stopped")
    stopped = msgspec.structs.replace(first, answers=(first["a"], half))
    assert asyncio.run(rejudge(stopped)).text == "Paris"
    assert asyncio.run(rejudge(stopped, retry=True))["b"].text == "Rome"


def test_what_was_local_only_stays_so(server: LookAlike) -> None:
    private = asyncio.run(fuse("What is 12 + 30?", "tiny", local_only=True))
    with pytest.raises(PrivacyError):
        asyncio.run(rejudge(private, judge="openrouter:v/judge"))
    assert not server.requests


def test_answers_from_the_cloud_can_be_judged_on_this_machine_alone(
    server: LookAlike, first: FusionResult
) -> None:
    asked = len(server.requests)
    again = asyncio.run(rejudge(first, judge="local:tiny-judge", local_only=True))
    assert again.verdict.best in ("a", "b")
    assert len(server.requests) == asked
    with pytest.raises(PrivacyError):  # in a debate members would be asked
        asyncio.run(rejudge(first, judge="local:tiny-judge", local_only=True, mode="debate"))


def test_a_judging_is_a_run_of_the_history_and_can_be_judged_again(first: FusionResult) -> None:
    again = asyncio.run(rejudge(first, judge="openrouter:v/other"))
    assert [past.run for past in Ledger().runs()] == [again.run, first.run]
    kept = Ledger().load(again.run)
    assert kept == again
    third = asyncio.run(rejudge(kept, judge="openrouter:v/judge"))
    assert third.text == "Rome"
    assert {answer.earlier for answer in third.answers} == {first.run}  # where they were paid for


def test_the_user_may_choose_another_answer(server: LookAlike, first: FusionResult) -> None:
    asked = len(server.requests)
    chosen = promote(first, "a")
    assert (first.text, chosen.text, chosen.cost) == ("Rome", "Paris", 0)
    assert (chosen.verdict.decided_by, chosen.verdict.best) == ("you", "a")
    assert "You chose it." in to_text(chosen)
    assert Ledger().load(chosen.run) == chosen
    assert len(server.requests) == asked
    with pytest.raises(ConfigError, match="no answer in this run"):
        promote(first, "c")
