"""merge: a written answer is returned only where it can be shown to help, with its sources."""

from __future__ import annotations

import json

import pytest
from asking import members, pool, run, seen
from lookalike import Fail, LookAlike, Say, letter_of, verdict, wanted

from nbfuse.core.analysis import Quote
from nbfuse.fusion.candidates import candidate
from nbfuse.fusion.provenance import paragraphs, provenance

EMPTY = {
    "consensus": [],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [],
    "blind_spots": [],
}
MERGED = "Both say it, and this text says it best."


def judging(gate: object, text: str = MERGED, analysis: dict = EMPTY) -> object:
    """A judge that analyses and writes `text`; `gate` answers what it is asked to compare."""

    def reply(body: dict) -> object:
        match wanted(body):
            case "analysis":
                return Say(json.dumps(analysis))
            case "verdict":
                return gate(body) if callable(gate) else gate
        return Say(text)

    return reply


def test_a_merged_answer_that_wins_in_both_orders_is_returned(server: LookAlike) -> None:
    members(server, a="Rome", b="Milan")
    server.models["v/judge"] = judging(verdict(letter_of("says it best")))
    result = run(pool("a", "b", mode="merge"))
    assert (result.text, result.verdict.decided_by) == (MERGED, "merge")
    assert "found better than a's" in result.verdict.reason
    gate = [body for body in server.asked("v/judge") if wanted(body) == "verdict"]
    assert [{text for _, text in seen(body)} for body in gate] == [{MERGED, "Rome"}] * 2
    assert seen(gate[0])[0][1] != seen(gate[1])[0][1]
    tasks = [call.task for call in result.judging]
    assert tasks[:2] == ["analysis", "writing"]
    assert sorted(tasks[2:]) == ["gate", "gate, other order"]  # at once: either may end first


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        (verdict(letter_of("Rome")), "lost to a's"),
        (verdict(lambda _: "A"), "was not found better than a's"),  # swayed by order: a tie
        (Say("no JSON"), "could not be checked"),
        (Fail(403, {"message": "no"}), "could not be checked"),
    ],
    ids=["loses", "always A", "garbage", "down"],
)
def test_what_cannot_be_shown_to_help_is_not_returned(
    server: LookAlike, gate: object, why: str
) -> None:
    members(server, a="Rome", b="Milan")
    server.models["v/judge"] = judging(gate)
    result = run(pool("a", "b", mode="merge"))
    assert (result.text, result.verdict.best) == ("Rome", "a")
    assert why in result.verdict.reason
    assert any(note.startswith("Not merged") for note in result.notes)
    assert any(call.text == MERGED for call in result.judging)  # nothing is lost


def test_a_merged_answer_that_contradicts_most_is_stopped_without_a_call(
    server: LookAlike,
) -> None:
    members(server, a="41", b="42", c="It is 42")
    server.models["v/judge"] = judging(verdict(letter_of("43")), text="It is 43")
    result = run(pool("a", "b", "c", mode="merge", answer="number"))
    assert result.text == "42"
    assert "contradicts what most members say" in result.verdict.reason
    assert {wanted(body) for body in server.asked("v/judge")} == {"analysis", "writing"}


def test_without_budget_for_the_check_it_is_said_to_be_ungated(server: LookAlike) -> None:
    members(server, a="Rome", b="Milan")
    server.models["v/judge"] = judging(verdict(letter_of("says it best")))
    price = {"prompt": "0.000001", "completion": "0.00001"}
    server.listed = [{"id": f"v/{name}", "pricing": price} for name in ("a", "b", "judge")]
    # what the members and the two texts of the judge may cost at most, and no more
    result = run(pool("a", "b", mode="merge", max_tokens=100, budget="0.0530"))
    assert result.verdict.decided_by == "merge"
    spent_on_checks = [call for call in result.judging if call.task.startswith("gate")]
    assert bool(spent_on_checks) != ("Ungated" in result.verdict.reason)


def test_a_writer_that_is_cut_off_goes_on_once(server: LookAlike) -> None:
    members(server, a="Rome", b="Milan")

    def writer(body: dict) -> Say:
        match wanted(body):
            case "analysis":
                return Say(json.dumps(EMPTY))
            case "verdict":
                return verdict(letter_of("first half"))(body)
        if body["messages"][-1]["content"].startswith("You were cut off"):
            assert body["messages"][-2] == {"role": "assistant", "content": "The first half, "}
            return Say("and the second.")
        return Say("The first half, ", finish="length")

    server.models["v/judge"] = writer
    assert run(pool("a", "b", mode="merge")).text == "The first half, and the second."


def test_a_merged_answer_that_is_a_candidate_is_not_compared_with_itself(
    server: LookAlike,
) -> None:
    members(server, a="Rome", b="Milan")
    server.models["v/judge"] = judging(Fail(403, {"message": "no"}), text="Rome")
    result = run(pool("a", "b", mode="merge"))
    assert (result.text, result.verdict.decided_by) == ("Rome", "merge")
    assert "word for word" in result.verdict.reason


def test_each_paragraph_names_those_whose_words_it_has(server: LookAlike) -> None:
    text = "The Seine flows through Paris.\n\nIt was founded by the Parisii tribe.\n\nI add this."
    members(server, a="The Seine flows through Paris, in France.", b="Founded by the Parisii.")
    insight = {"model": "?", "insight": "who founded it", "quote": "Founded by the Parisii"}

    def judge(body: dict) -> Say:
        if wanted(body) != "analysis":
            return judging(verdict(letter_of("I add this")), text)(body)
        mine = insight | {"model": letter_of("Parisii")(body["messages"][-1]["content"])}
        return Say(json.dumps({**EMPTY, "unique_insights": [mine]}))

    server.models["v/judge"] = judge
    result = run(pool("a", "b", mode="merge"))
    assert result.provenance == (("a",), ("b",), ())


def test_paragraphs_keep_code_in_one_piece() -> None:
    assert paragraphs("One.\n\n```py\na\n\nb\n```\n\n\nTwo.\n") == [
        *("One.", "```py\na\n\nb\n```", "Two.")
    ]


def test_words_that_anyone_writes_are_no_source() -> None:
    those = [candidate("a", "It is what it is, and more.", ""), candidate("b", "so it is", "")]
    assert provenance("It is so.", those, [Quote("consensus", 0, "b", "so it is")]) == ((),)
