"""auto: two members first, more while they disagree, the judge for what is disputed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from asking import members, pool, run, seen
from lookalike import Fail, LookAlike, Say, letter_of, verdict

from nbfuse import Pool, fuse
from nbfuse.core.types import Answer


def auto(*names: str, **settings: object) -> Pool:
    return pool(*names, **{"mode": "auto", "answer": "number", "quorum": None, **settings})


def statuses(result: object) -> list[str]:
    return [answer.status for answer in result.answers]


def test_two_that_agree_are_enough_and_what_that_saves_is_said(server: LookAlike) -> None:
    members(server, a="It is 42", b="so 42", c="41", d="41", e="41")
    price = {"prompt": "0.001", "completion": "0.01"}
    server.listed = [{"id": f"v/{name}", "pricing": price} for name in "abcde"]
    result = run(auto(*"abcde"))
    assert (result.text, result.verdict.decided_by) == ("It is 42", "agreement")
    assert statuses(result) == ["complete", "complete", *["not asked"] * 3]
    assert result.verdict.reason == "2 of 5 give the same number."
    assert result.verdict.confidence == "medium"  # the others might have differed
    # each would have written some 2 or 3 tokens, and read 8
    (note,) = [note for note in result.notes if "saved" in note]
    assert note.startswith("2 of 5 agree, so c, d, e were not asked: about 6 tokens or $0.084")
    assert not any(server.asked(f"v/{name}") for name in ("c", "d", "e", "judge"))
    assert result.cost == Decimal("0.002")


def test_it_widens_by_one_until_most_of_those_asked_agree(server: LookAlike) -> None:
    members(server, a="41", b="42", c="so 42", d="43")
    result = run(auto(*"abcd"))
    assert statuses(result) == ["complete", "complete", "complete", "not asked"]
    assert (result.text, result.verdict.decided_by) == ("42", "agreement")


def test_the_judge_sees_one_answer_for_each_position(server: LookAlike) -> None:
    members(server, a="41", b="42", c="so 41", d="It is 42")
    server.models["v/judge"] = verdict(letter_of("42"))
    result = run(auto(*"abcd"))
    assert statuses(result) == ["complete"] * 3 + ["not asked"]  # 2 of 3 say 41
    members(server, c="43")
    result = run(auto(*"abcd"))
    assert {text for _, text in seen(server.asked("v/judge")[0])} == {"41", "42", "43"}
    assert (result.text, result.verdict.decided_by) == ("42", "judge")


def test_who_fails_is_replaced_by_the_next(server: LookAlike) -> None:
    members(server, b="42", c="so 42", d="41")
    server.models["v/a"] = Fail(403, {"message": "no"})
    result = run(auto(*"abcd"))
    assert statuses(result) == ["failed", "complete", "complete", "not asked"]
    assert result.text == "42"


def test_a_slow_third_is_waited_for(server: LookAlike) -> None:
    members(server, a="41", b="42")
    server.models["v/c"] = Say("so 42", first_s=1.5)  # longer than a straggler's grace
    assert run(auto(*"abc", grace_s=0.1)).text == "42"


def test_free_text_has_no_agreement_so_all_are_asked(server: LookAlike) -> None:
    members(server, a="It is Paris", b="Paris, on the Seine", c="Rome")
    server.models["v/judge"] = verdict(letter_of("Seine"))
    result = run(auto(*"abc", answer=None))
    assert (result.text, statuses(result)) == ("Paris, on the Seine", ["complete"] * 3)


@pytest.mark.timeout(60)
def test_a_cascade_asks_this_machine_first(server: LookAlike) -> None:
    import asyncio

    members(server, big="42")
    cascade = Pool(
        members=("openrouter:v/big", "local:tiny-calc*2"),
        judge="openrouter:v/judge",
        mode="auto",
        answer="number",
        local_first=True,
        temperature=0.0,
    )
    result = asyncio.run(fuse("What is 12 + 30?", cascade))
    assert (result.verdict.decided_by, result.cost) == ("agreement", 0)
    assert statuses(result) == ["not asked", "complete", "complete"]
    assert not server.asked("v/big")


def test_answers_that_are_given_are_taken_in_their_turn(server: LookAlike) -> None:
    given = [
        Answer(member=name, spec=f"openrouter:v/{name}", text=text)
        for name, text in (("a", "42"), ("b", "so 42"), ("c", "41"))
    ]
    result = run(auto(*"abc"), given=given)
    assert [answer.judged for answer in result.answers] == [True, True, False]
    assert result["c"].text == "41"  # it is there, though nobody needed it
    assert not server.asked("v/a")


def test_the_estimate_is_from_two_to_all(server: LookAlike) -> None:
    import asyncio

    from nbfuse.core.request import Request
    from nbfuse.fusion.plan import make_plan

    price = {"prompt": "0", "completion": "0.00001"}
    names = [*"abcd", "judge"]
    server.listed = [{"id": f"v/{name}", "pricing": price} for name in names]
    plan = asyncio.run(make_plan(Request("How many?", auto(*"abcd", max_tokens=100))))
    assert plan.price.low == 2 * 100 * Decimal("0.00001")
    assert plan.price.high == (4 * 100 + 4 * 600) * Decimal("0.00001")
