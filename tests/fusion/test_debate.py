"""debate: what is argued, when it stops, who moves and why, and what is not followed."""

from __future__ import annotations

import json

import pytest
from asking import pool, run
from lookalike import Fail, LookAlike, Say, letter_of, verdict, wanted

from nbfuse.core import events
from nbfuse.core.request import Request
from nbfuse.fusion import engine

KEEP = {"errors_found": [], "decision": "keep", "answer": "", "what_would_change_my_mind": ""}


def debater(answer: str, *replies: dict | Fail) -> object:
    """A member that answers, and then replies so in each round; at last it keeps what it has."""
    left = list(replies)

    def say(body: dict) -> Say | Fail:
        if wanted(body) != "reply":
            return Say(answer)
        reply = left.pop(0) if left else {}
        return reply if isinstance(reply, Fail) else Say(json.dumps(KEEP | reply))

    return say


def change(answer: str, *quotes: str) -> dict:
    errors = [{"in": "mine", "quote": quote, "why": "that is wrong"} for quote in quotes]
    return {"decision": "change", "answer": answer, "errors_found": errors}


def debaters(server: LookAlike, **members: object) -> None:
    server.models |= {f"v/{name}": member for name, member in members.items()}


def asked_again(server: LookAlike, name: str) -> list[str]:
    """What a member was sent in each round."""
    bodies = [body for body in server.asked(f"v/{name}") if wanted(body) == "reply"]
    return [body["messages"][1]["content"] for body in bodies]


def settings(**more: object) -> dict[str, object]:
    return {"mode": "debate", "answer": "number", **more}


# --- when it stops ----------------------------------------------------------------------------


def test_it_stops_once_all_agree(server: LookAlike) -> None:
    debaters(server, a=debater("41", change("42", "41")), b=debater("42"))
    result = run(pool("a", "b", **settings()))
    assert (result.text, result.verdict.decided_by) == ("42", "agreement")
    assert any("after round 1: all agree" in note for note in result.notes)
    assert len(asked_again(server, "b")) == 1


def test_it_stops_where_nobody_changes(server: LookAlike) -> None:
    debaters(server, a=debater("41"), b=debater("42"))
    server.models["v/judge"] = verdict(letter_of("42"))
    result = run(pool("a", "b", **settings()))
    assert any("after round 1: nobody changed" in note for note in result.notes)
    assert (result.text, result.verdict.decided_by) == ("42", "judge")


def test_two_rounds_are_the_most(server: LookAlike) -> None:
    debaters(
        server,
        a=debater("41", change("42", "41"), change("43", "42"), change("44", "43")),
        b=debater("50", change("51", "50"), change("52", "51"), change("53", "52")),
    )
    server.models["v/judge"] = verdict(letter_of("43"))
    result = run(pool("a", "b", **settings()))
    assert any("after round 2: 2 rounds are the most" in note for note in result.notes)
    assert len(asked_again(server, "a")) == 2
    assert [(p.member, p.round, p.after) for p in result.positions] == [
        *(("a", 1, "42"), ("b", 1, "51"), ("a", 2, "43"), ("b", 2, "52"))
    ]


def test_who_goes_back_ends_it(server: LookAlike) -> None:
    debaters(
        server,
        a=debater("41", change("42", "41"), change("41", "42")),
        b=debater("50"),
        c=debater("60"),
    )
    server.models["v/judge"] = verdict(letter_of("50"))
    result = run(pool("a", "b", "c", **settings()))
    assert any("went back to what it had left" in note for note in result.notes)


def test_a_budget_that_is_used_up_ends_it(server: LookAlike) -> None:
    debaters(server, a=debater("41", change("42", "41")), b=debater("50"), c=debater("60"))
    server.models["v/judge"] = verdict(letter_of("50"))
    price = {"prompt": "0.000001", "completion": "0.00001"}
    server.listed = [{"id": f"v/{n}", "pricing": price} for n in ("a", "b", "c", "judge")]
    # each call of the look-alike is billed at a tenth of a cent, a reply estimated at 0.6 cents
    result = run(pool("a", "b", "c", **settings(max_tokens=50, budget="0.0200")))
    assert any("the budget leaves nothing" in note for note in result.notes)


def test_consensus_costs_no_call(server: LookAlike) -> None:
    debaters(server, a=debater("so 42"), b=debater("42"))
    result = run(pool("a", "b", **settings()))
    assert (result.verdict.decided_by, len(result.calls)) == ("agreement", 2)


# --- what is argued ---------------------------------------------------------------------------


def test_of_free_text_only_what_is_disputed_is_argued(server: LookAlike) -> None:
    debaters(
        server,
        a=debater("Paris, on the Seine. Founded in 250 BC."),
        b=debater("Paris, with many museums. Founded in 52 BC."),
    )

    def judge(body: dict) -> Say:
        if wanted(body) == "verdict":
            return verdict(letter_of("250 BC"))(body)
        prompt = body["messages"][-1]["content"]
        a, b = letter_of("250 BC")(prompt), letter_of("52 BC")(prompt)
        stances = [{"model": a, "stance": "250 BC", "quote": ""}]
        stances.append({"model": b, "stance": "52 BC", "quote": ""})
        lists = ("consensus", "partial_coverage", "unique_insights", "blind_spots")
        topics = [{"topic": "the year", "stances": stances}]
        return Say(json.dumps({key: [] for key in lists} | {"contradictions": topics}))

    server.models["v/judge"] = judge
    result = run(pool("a", "b", mode="debate"))
    (to_a,) = asked_again(server, "a")
    assert "Disputed: the year" in to_a
    assert "You hold: 250 BC" in to_a
    assert "Candidate A holds: 52 BC" in to_a
    assert "museums" not in to_a  # what nobody disputes
    assert result.analysis is not None
    assert result.text.endswith("250 BC.")


def test_where_the_analysis_finds_no_contradiction_nobody_is_asked_again(
    server: LookAlike,
) -> None:
    debaters(server, a=debater("Paris, on the Seine."), b=debater("It is Paris."))
    lists = ("consensus", "contradictions", "partial_coverage", "unique_insights", "blind_spots")

    def judge(body: dict) -> Say:
        if wanted(body) == "analysis":
            return Say(json.dumps({key: [] for key in lists}))
        return verdict(letter_of("Seine"))(body)

    server.models["v/judge"] = judge
    result = run(pool("a", "b", mode="debate"))
    assert not asked_again(server, "a")
    assert any("Nothing is disputed" in note for note in result.notes)
    assert result.text == "Paris, on the Seine."


def test_a_number_held_by_two_is_argued_once(server: LookAlike) -> None:
    debaters(server, a=debater("It is 41"), b=debater("42"), c=debater("so 42"))
    server.models["v/judge"] = verdict(letter_of("41"))
    run(pool("a", "b", "c", **settings()))
    assert asked_again(server, "a")[0].count("<<<") == 1


# --- who moves, and what it counts ------------------------------------------------------------


def test_going_along_without_an_error_is_counted_and_changes_nothing(server: LookAlike) -> None:
    debaters(
        server, a=debater("41", change("42")), b=debater("42"), c=debater("43", change("42", "99"))
    )
    server.models["v/judge"] = verdict(letter_of("41"))
    result = run(pool("a", "b", "c", **settings()))
    assert {p.member for p in result.positions if p.conformed} == {"a", "c"}
    assert not any(p.changed for p in result.positions)
    assert (result.text, result.verdict.decided_by) == ("41", "judge")


def test_a_part_of_a_word_is_no_located_error(server: LookAlike) -> None:
    debaters(server, a=debater("about 41", change("42", "b")), b=debater("42"))
    server.models["v/judge"] = verdict(letter_of("41"))
    result = run(pool("a", "b", **settings()))
    assert [p.member for p in result.positions if p.conformed] == ["a"]


def test_who_is_lost_between_rounds_stays_on_the_ballot_and_votes_no_more(
    server: LookAlike,
) -> None:
    debaters(
        server,
        a=debater("41", change("42", "41")),
        b=debater("50", Fail(403, {"message": "no"})),
        c=debater("60"),
    )
    server.models["v/judge"] = verdict(letter_of("50"))
    result = run(pool("a", "b", "c", **settings()))
    lost = [p for p in result.positions if p.lost]
    assert [(p.member, p.round) for p in lost] == [("b", 1)]
    assert len(asked_again(server, "b")) == 1
    assert result.text == "50"  # what it had said could still win


def test_the_judge_hears_the_case_for_and_the_error_shown_against(server: LookAlike) -> None:
    against = {"in": "A", "quote": "41", "why": "seven times six is more"}
    debaters(
        server,
        a=debater("41"),
        b=debater("42", {"case": "six sevens", "errors_found": [against]}),
    )
    server.models["v/judge"] = verdict(letter_of("For: six sevens"))
    result = run(pool("a", "b", **settings()))
    prompt = server.asked("v/judge")[0]["messages"][1]["content"]
    assert "For: six sevens" in prompt
    assert "Against: “41”: seven times six is more" in prompt
    assert result.text == "42"
    (minority,) = result.minority
    assert (minority.member, minority.after) == ("a", "41")


@pytest.mark.parametrize("stop", [True, False])
def test_alone_with_check_a_member_may_correct_itself(server: LookAlike, stop: bool) -> None:
    reply = change("42", "41" if stop else "40")  # the second shows no words of its own
    debaters(server, a=debater("41", reply), b=Fail(403, {"message": "no"}))
    server.models["v/judge"] = verdict(lambda _: "A")
    result = run(pool("a", "b", **settings(check=True, quorum=None)))
    assert result.text == ("42" if stop else "41")
    assert result.verdict.decided_by == "only survivor"
    assert result.verdict.scores[0].correctness == 4


def test_rounds_are_events(server: LookAlike) -> None:
    import asyncio

    debaters(server, a=debater("41", change("42", "41")), b=debater("42"))

    async def watch() -> list[events.Event]:
        asked = Request("q?", pool("a", "b", **settings()))
        return [event async for event in engine.stream(asked)]

    seen = asyncio.run(watch())
    rounds = [e for e in seen if isinstance(e, events.RoundStarted | events.RoundFinished)]
    assert [e.round for e in rounds] == [1, 1]
    assert rounds[0].disputed == ("a", "b")
