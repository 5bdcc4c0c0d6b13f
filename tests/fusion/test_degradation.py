"""What happens when anything fails: a row of the table for each situation, a column for each mode.

The table is in the design notes on fusion methods; the rows stand here in its order.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from asking import QUESTION, pool, run
from lookalike import Fail, LookAlike, Say, letter_of, verdict, wanted

from nbfuse import FusionResult, NoAnswerError, Pool
from nbfuse.core.errors import ConfigError, PrivacyError
from nbfuse.core.events import RunFinished
from nbfuse.core.request import Request
from nbfuse.fusion import engine

MODES = ["best-of", "merge", "debate"]
DOWN = Fail(402, {"message": "Insufficient credits"})
LISTS = ("consensus", "partial_coverage", "unique_insights", "blind_spots")
KEEP = {"errors_found": [], "decision": "keep", "answer": "", "what_would_change_my_mind": ""}


def everything(best: str, text: str = "") -> object:
    """A judge that does whatever it is asked for; it finds the text with the words `best` best."""

    def reply(body: dict) -> Say:
        match wanted(body):
            case "verdict":
                merged = "as both say" in body["messages"][1]["content"]
                return verdict(letter_of("as both say" if merged else best))(body)
            case "analysis":
                stances = [{"model": one, "stance": "s", "quote": ""} for one in "AB"]
                topics = [{"topic": "which city", "stances": stances}]
                lists = {name: [] for name in LISTS}
                return Say(json.dumps(lists | {"contradictions": topics}))
            case "reply":
                return Say(json.dumps(KEEP))
        return Say(text or f"{best}, as both say.")

    return reply


def cities(server: LookAlike, **said: object) -> None:
    """Members that answer so, and keep to it in a debate."""

    def speaker(text: str) -> object:
        return lambda body: Say(json.dumps(KEEP)) if wanted(body) == "reply" else Say(text)

    server.models |= {
        f"v/{name}": speaker(text) if isinstance(text, str) else text for name, text in said.items()
    }


# --- all members fail -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_all_members_fail(server: LookAlike, mode: str) -> None:
    server.models |= {"v/a": DOWN, "v/b": Fail(403, {"message": "flagged"})}
    with pytest.raises(NoAnswerError) as failed:
        run(pool("a", "b", mode=mode))
    card = str(failed.value)
    assert "a: " in card
    assert "b: " in card
    assert "credits" in card  # and what to do about it
    assert failed.value.result.cost == 0
    assert not server.asked("v/judge")


# --- one usable member ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_one_usable_member(server: LookAlike, mode: str) -> None:
    cities(server, a="It is Paris", b=DOWN)
    result = run(pool("a", "b", mode=mode))
    assert (result.text, result.verdict.decided_by) == ("It is Paris", "only survivor")
    assert result.verdict.confidence == "low"
    assert not server.asked("v/judge")


@pytest.mark.parametrize("mode", MODES)
def test_one_usable_member_is_reviewed_if_asked_for(server: LookAlike, mode: str) -> None:
    cities(server, a="It is Paris", b=DOWN)
    server.models["v/judge"] = verdict(lambda _: "A", none_acceptable=True)
    result = run(pool("a", "b", mode=mode, check=True))
    assert (result.text, result.verdict.decided_by) == ("It is Paris", "only survivor")
    assert result.verdict.none_acceptable
    assert len(server.asked("v/judge")) == 1
    server.models["v/judge"] = DOWN
    unchecked = run(pool("a", "b", mode=mode, check=True))
    assert unchecked.text == "It is Paris"
    assert any(note.startswith("Not checked") for note in unchecked.notes)


# --- two usable -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_two_usable_that_agree_need_no_judge(server: LookAlike, mode: str) -> None:
    cities(server, a="It is 42", b="42", c=DOWN)
    result = run(pool("a", "b", "c", mode=mode, answer="number"))
    assert (result.verdict.decided_by, len(server.asked("v/judge"))) == ("agreement", 0)


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        ("best-of", ["verdict", "verdict"]),
        ("merge", ["analysis", "writing", "verdict", "verdict"]),
        ("debate", ["analysis", "verdict", "verdict"]),
    ],
)
def test_two_usable_that_differ(server: LookAlike, mode: str, asked: list[str]) -> None:
    cities(server, a="It is Rome", b="It is Paris", c=DOWN)
    server.models["v/judge"] = everything("Paris")
    result = run(pool("a", "b", "c", mode=mode))
    assert "Paris" in result.text
    assert [wanted(body) for body in server.asked("v/judge")] == asked


# --- a quorum that is missed at the deadline --------------------------------------------------


@pytest.mark.timeout(40)
@pytest.mark.parametrize("mode", MODES)
def test_a_quorum_missed_at_the_deadline_is_marked(server: LookAlike, mode: str) -> None:
    cities(server, a="It is Rome", b="It is Paris", c=Say("Lyon", first_s=60))
    server.models["v/judge"] = everything("Paris")
    result = run(pool("a", "b", "c", mode=mode, deadline_s=3.0))
    assert "Paris" in result.text
    assert any(note.startswith("Below the quorum: 2 of 3") for note in result.notes)
    assert result["c"].failure.kind == "DeadlineError"


# --- the judge gives no JSON ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "decided_by"), [("best-of", "fallback"), ("merge", "judge"), ("debate", "fallback")]
)
def test_a_judge_without_json(server: LookAlike, mode: str, decided_by: str) -> None:
    cities(server, a="It is Rome", b="It is Paris")
    server.models["v/judge"] = Say("I like the second one.")
    result = run(pool("a", "b", mode=mode, anchor="b"))
    # a merge is written from the candidates alone, but can't be shown to help
    assert (result.text, result.verdict.decided_by) == ("It is Paris", decided_by)
    assert {answer.text for answer in result.answers} == {"It is Rome", "It is Paris"}


# --- the judge is down, too late, or not paid for ---------------------------------------------


@pytest.mark.timeout(40)
@pytest.mark.parametrize("judge", [DOWN, Say("x", first_s=60)], ids=["down", "too late"])
@pytest.mark.parametrize("mode", MODES)
def test_a_judge_that_cannot_be_asked(server: LookAlike, mode: str, judge: object) -> None:
    cities(server, a="It is Rome", b="It is Paris")
    server.models["v/judge"] = judge
    result = run(pool("a", "b", mode=mode, anchor="b", deadline_s=2.0))
    assert (result.text, result.verdict.decided_by) == ("It is Paris", "fallback")
    assert result.verdict.confidence == "low"
    if mode == "merge":
        assert any(note.startswith("Not merged") for note in result.notes)


@pytest.mark.parametrize("mode", ["best-of", "debate"])
def test_without_a_judge_comparable_answers_are_counted_and_never_the_longest_taken(
    server: LookAlike, mode: str
) -> None:
    cities(server, a="41", b="It is 42", c="42", d="surely, without any doubt, it must be 43")
    server.models["v/judge"] = DOWN
    result = run(pool("a", "b", "c", "d", mode=mode, answer="number"))
    assert result.text == "It is 42"


# --- the judge names nobody, or contradicts itself --------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_judge_that_contradicts_itself_decides_nothing(server: LookAlike, mode: str) -> None:
    cities(server, a="It is Rome", b="It is Paris")
    does = everything("Paris")
    server.models["v/judge"] = lambda body: (
        verdict(lambda _: "A")(body) if wanted(body) == "verdict" else does(body)
    )
    result = run(pool("a", "b", mode=mode, anchor="b"))
    assert (result.text, result.verdict.best) == ("It is Paris", "b")  # the anchor, verbatim
    assert result.verdict.flips == result.verdict.asked_twice


@pytest.mark.parametrize("mode", MODES)
def test_a_judge_that_names_nobody_is_a_judge_that_failed(server: LookAlike, mode: str) -> None:
    cities(server, a="It is Rome", b="It is Paris")
    does = everything("Paris")
    server.models["v/judge"] = lambda body: (
        Say(
            does(body)
            .text.replace('"best": "A"', '"best": "Q"')
            .replace('"best": "B"', '"best": "Q"')
        )
        if wanted(body) == "verdict"
        else does(body)
    )
    result = run(pool("a", "b", mode=mode, anchor="b"))
    assert result.text == "It is Paris"


# --- the writer is cut off --------------------------------------------------------------------


def test_a_writer_that_is_cut_off_twice_is_not_trusted(server: LookAlike) -> None:
    cities(server, a="It is Rome", b="It is Paris")
    does = everything("Paris")
    server.models["v/judge"] = lambda body: (
        Say("Par", finish="length") if wanted(body) == "writing" else does(body)
    )
    result = run(pool("a", "b", mode="merge", anchor="b"))
    assert result.text == "It is Paris"
    assert [wanted(b) for b in server.asked("v/judge")] == ["analysis", "writing", "writing"]


# --- the judge is a member --------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_judge_that_is_a_member(server: LookAlike, mode: str) -> None:
    judge = everything("Paris")

    def both(body: dict) -> Say:
        shown = body["messages"][-1]["content"]
        return Say("It is Rome") if shown == QUESTION else judge(body)

    cities(server, a=both, b="It is Paris")
    result = run(pool("a", "b", mode=mode, judge="openrouter:v/a"))
    assert "Paris" in result.text
    assert any("a member of" in note for note in result.notes)
    assert result.verdict.asked_twice == 1  # both orders, and in a merge the gate
    shown = [body["messages"][-1]["content"] for body in server.asked("v/a")]
    assert not any("v/a" in text or "v/b" in text for text in shown)


# --- local only -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_local_only_without_a_local_model_is_refused_before_anything(
    server: LookAlike, mode: str
) -> None:
    with pytest.raises(PrivacyError):
        run(pool("a", "b", mode=mode, local_only=True))
    missing = Pool(
        members=("local:ministral-3b",), judge="local:tiny-judge", mode=mode, local_only=True
    )
    with pytest.raises(ConfigError, match="No member can be asked"):
        run(missing)
    assert not server.requests


# --- stopped by the user ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_what_had_arrived_is_there_after_a_stop(server: LookAlike, mode: str) -> None:
    cities(server, a="It is Rome", b="It is Paris")
    server.models["v/judge"] = Say("x", first_s=30)

    async def stopped() -> FusionResult:
        stop = asyncio.Event()
        asked = Request(QUESTION, pool("a", "b", mode=mode, anchor="b"))
        async for event in engine.stream(asked, stop):
            if type(event).__name__ == "JudgeStarted":
                stop.set()
            if isinstance(event, RunFinished):
                result = event.result
        return result

    result = asyncio.run(stopped())
    assert result.status == "stopped"
    assert (result.text, result.verdict.decided_by) == ("It is Paris", "stopped")
    assert {answer.text for answer in result.answers} == {"It is Rome", "It is Paris"}
    assert server.quiet()


def test_a_refusal_has_no_vote_and_is_marked(server: LookAlike) -> None:
    no = Say("I can't help with that.", refuses=True)
    cities(server, a=no, b=no, c="It is Paris.")
    server.models["v/judge"] = DOWN
    result = run(pool("a", "b", "c"))
    assert (result.text, result.verdict.decided_by) == ("It is Paris.", "fallback")
    assert result["a"].status == "cut off"
    assert result["a"].text == "I can't help with that."
