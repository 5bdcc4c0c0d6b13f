"""Runs are recorded against a real server, which then goes away; the file alone answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lookalike
import msgspec
import pytest
from lookalike import KEY, Fail, LookAlike, Say, letter_of, verdict
from pictures import PNG
from shell import nbfuse

from nbfuse import FusionResult, Pool, fuse, rejudge, stream, to_json
from nbfuse.core.call import Chunk
from nbfuse.core.errors import ConfigError, NoAnswerError, PrivacyError, ReplayError
from nbfuse.core.events import MemberDelta, MemberFinished, MemberLate, RunFinished
from nbfuse.ledger.ledger import Ledger
from nbfuse.providers.recording import read_runs
from nbfuse.replay import Recording

ANALYSIS = {
    "consensus": ["a city"],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [{"model": "A", "insight": "short", "quote": ""}],
    "blind_spots": [],
}
TAPE = Path("run.jsonl")


def pool(*names: str, **settings: object) -> Pool:
    members = tuple(f"openrouter:v/{name}" for name in names)
    return Pool(members=members, **{"judge": "openrouter:v/judge", **settings})


def masked(result: FusionResult) -> dict:
    """All of a result but its times and its name."""

    def mask(value: object) -> object:
        if isinstance(value, dict):
            hidden = ("run", "started_at", "seconds", "begun_s", "first_token_s")
            return {k: mask(v) for k, v in value.items() if k not in hidden}
        return [mask(one) for one in value] if isinstance(value, list) else value

    return mask(json.loads(to_json(result)))


def record(asked: Pool, prompt: str = "capital?", **more: object) -> FusionResult:
    return asyncio.run(fuse(prompt, asked, record=TAPE, **more))


def replay(asked: Pool | None, prompt: str = "capital?", **more: object) -> FusionResult:
    return asyncio.run(fuse(prompt, asked, replay=TAPE, **more))


@pytest.fixture
def gone(server: LookAlike, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Takes away the key and the server: whoever asks it now finds nobody."""

    def go() -> None:
        monkeypatch.delenv("OPENROUTER_API_KEY")
        monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:9/api/v1")
        server.requests.clear()

    return go


def debater(answer: str, found: str = "") -> Callable[[dict], Say]:
    reply = {
        "errors_found": [{"in": "mine", "quote": found, "why": "wrong"}] if found else [],
        "decision": "change" if found else "keep",
        "answer": "It is Paris",
        "what_would_change_my_mind": "",
    }
    first = lambda body: body["messages"][0]["role"] != "system"  # noqa: E731
    return lambda body: Say(answer if first(body) else json.dumps(reply))


def analyst_then_writer(body: dict) -> Say:
    return Say(json.dumps(ANALYSIS) if "response_format" in body else "Paris, of course.")


# --- the same result --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["best-of", "merge", "debate"])
def test_each_mode_comes_out_the_same_without_key_and_server(
    server: LookAlike, gone: Callable[[], None], mode: str
) -> None:
    server.models |= {"v/a": debater("It is Rome", "Rome"), "v/b": debater("It is Paris")}
    server.models |= {"v/c": debater("It is Lyon")}
    server.models["v/judge"] = (
        analyst_then_writer if mode == "merge" else verdict(letter_of("Paris"))
    )
    asked = pool("a", "b", "c", mode=mode, quorum=3)
    first = record(asked)
    prompts = [body["messages"][-1]["content"] for body in server.asked("v/judge")]
    gone()
    second = replay(asked)
    assert masked(second) == masked(first)
    assert second.cost == first.cost > 0
    assert not server.requests
    (run,) = read_runs(TAPE)
    judged = [call for call in run.calls if call.spec == "openrouter:v/judge"]
    # each replayed call was compared with these, letter by letter
    assert sorted(call.call.messages[-1].content for call in judged) == sorted(prompts)


def test_its_times_are_those_of_the_recorded_run(
    server: LookAlike, gone: Callable[[], None], tmp_path: Path
) -> None:
    server.models |= {"v/a": Say("Paris it is", first_s=0.02, gap_s=0.01), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    asked, tape = pool("a", "b"), tmp_path / "tape.jsonl"
    first = asyncio.run(fuse("Where?", asked, record=tape))
    gone()
    again = asyncio.run(fuse("Where?", asked, replay=tape))
    assert again.seconds == first.seconds
    for one, other in zip(
        first.answers + first.judging, again.answers + again.judging, strict=True
    ):
        times = (one.begun_s, one.first_token_s, one.seconds)
        assert (other.begun_s, other.first_token_s, other.seconds) == times


def test_order_and_fences_are_drawn_again_without_a_seed(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    names = "abcdefg"
    server.models |= {f"v/{name}": Say(f"city {name}") for name in names}
    server.models["v/judge"] = verdict(letter_of("city d"))
    asked = pool(*names, quorum=len(names))
    first = record(asked)
    gone()
    assert [replay(asked).verdict.order for _ in range(3)] == [first.verdict.order] * 3


def test_failures_and_broken_streams_come_again(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {
        "v/a": Say("Paris"),
        "v/b": Fail(402, {"message": "Insufficient credits"}),
        "v/c": Say("Rome is the capital", drop_after=2),
        "v/d": Fail(429, {"message": "slow down"}, {"retry-after": "100"}),
        "v/judge": verdict(letter_of("Paris")),
    }
    asked = pool("a", "b", "c", "d", quorum=4, deadline_s=20)
    first = record(asked)
    gone()
    second = replay(asked)
    assert masked(second) == masked(first)
    assert second["b"].failure.kind == "CreditsError"
    assert (second["c"].status, second["c"].text) == ("partial", "Rome is")
    assert second["d"].failure.kind == "RateLimitError"


def test_a_run_in_which_all_fail_fails_again(server: LookAlike, gone: Callable[[], None]) -> None:
    server.models |= {f"v/{n}": Fail(402, {"message": "Insufficient credits"}) for n in "ab"}
    with pytest.raises(NoAnswerError) as live:
        record(pool("a", "b"))
    gone()
    with pytest.raises(NoAnswerError) as again:
        replay(pool("a", "b"))
    assert str(again.value) == str(live.value)


def test_a_judge_that_fails_and_one_that_stutters_do_so_again(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = Say("I think A")
    asked = pool("a", "b", quorum=2)
    first = record(asked)
    assert len(server.asked("v/judge")) > 1
    gone()
    assert masked(replay(asked)) == masked(first)
    assert first.verdict.decided_by == "fallback"


def test_chunks_keep_their_order_between_members(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {
        "v/a": Say(" ".join("abcdefgh"), gap_s=0.011),
        "v/b": Say(" ".join("qrstuvwx"), gap_s=0.017),
        "v/judge": verdict(letter_of("a b")),
    }
    asked = pool("a", "b", quorum=2)

    def told(**tape: object) -> list[tuple[str, str]]:
        async def collect() -> list[tuple[str, str]]:
            events = stream("capital?", asked, **tape)
            return [(e.member, e.text) async for e in events if isinstance(e, MemberDelta)]

        return asyncio.run(collect())

    first = told(record=TAPE)
    assert len({member for member, _ in first[:6]}) == 2
    gone()
    assert told(replay=TAPE) == first


# --- time -------------------------------------------------------------------------------------


def test_early_stop_spares_the_same_member(server: LookAlike, gone: Callable[[], None]) -> None:
    server.models |= {"v/a": Say("42"), "v/b": Say("it is 42"), "v/c": Say("41 " * 99, gap_s=0.05)}
    asked = pool("a", "b", "c", answer="number")
    first = record(asked)
    gone()
    second = replay(asked)
    assert masked(second) == masked(first)
    assert (second["c"].status, second["c"].judged) == ("stopped", False)
    assert "c was stopped" in second.notes[-1]


def test_grace_and_deadline_pass_again_without_being_waited_for(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {
        "v/a": Say("Paris"),
        "v/b": Say("Rome"),
        "v/judge": verdict(letter_of("Rome")),
    }
    server.models |= {"v/late": Say("Lyon", first_s=0.9), "v/stuck": Say("x y z", stall_after=2)}
    slow = verdict(letter_of("Rome"))
    server.models["v/judge"] = lambda body: Say(slow(body).text, first_s=0.6)
    graceful = pool("a", "b", "late", "stuck", quorum=2, grace_s=0.4)
    cut = pool("a", "b", "stuck", quorum=3, deadline_s=1.5)
    first = [record(asked) for asked in (graceful, cut)]
    gone()
    began = time.monotonic()
    second = [replay(asked) for asked in (graceful, cut)]
    assert time.monotonic() - began < 0.7  # and not the 2.7 s of then
    assert [masked(one) for one in second] == [masked(one) for one in first]
    assert (second[0]["late"].text, second[0]["late"].judged) == ("Lyon", False)
    assert second[1]["stuck"].failure.kind == "DeadlineError"
    assert second[1]["stuck"].text == "x y"
    assert [round(one.seconds, 1) for one in second] == [round(one.seconds, 1) for one in first]


def test_a_judge_left_at_the_deadline_is_left_again(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome"), "v/judge": Say("x", first_s=30)}
    asked = pool("a", "b", deadline_s=1.0)
    first = record(asked)
    gone()
    assert masked(replay(asked)) == masked(first)
    assert first.verdict.decided_by == "fallback"


def test_at_original_speed_the_times_are_waited_for(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris", first_s=0.5), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    asked = pool("a", "b", quorum=2)
    first = record(asked)
    gone()
    began = time.monotonic()
    second = asyncio.run(fuse("capital?", asked, replay=Recording(TAPE, speed="original")))
    assert time.monotonic() - began >= first["a"].seconds > 0.5
    assert masked(second) == masked(first)


def test_what_the_user_stopped_stops_again(server: LookAlike, gone: Callable[[], None]) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome " * 99, gap_s=0.05)}
    server.models |= {"v/c": Say("Lyon " * 99, gap_s=0.05)}
    asked = pool("a", "b", "c", quorum=3)

    async def interfere() -> FusionResult:
        stop, skip = asyncio.Event(), asyncio.Queue[str]()
        async for event in stream("capital?", asked, stop=stop, skip=skip, record=TAPE):
            match event:
                case MemberDelta(member="b", text="Rome"):
                    skip.put_nowait("b")
                case MemberLate(member="b"):
                    stop.set()
                case RunFinished(result=result):
                    return result
        raise AssertionError("it has no end")

    first = asyncio.run(interfere())
    assert first.status == "stopped"
    gone()
    second = replay(asked)
    assert masked(second) == masked(first)
    assert second["b"].text.startswith("Rome")


def test_an_interrupt_in_a_replay_keeps_what_has_come(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome " * 20, gap_s=0.05)}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    asked = pool("a", "b", quorum=2)
    record(asked)
    gone()

    async def interrupted() -> tuple[FusionResult, float]:
        stop = asyncio.Event()
        pressed = 0.0
        tape = Recording(TAPE, speed="original")
        async for event in stream("capital?", asked, stop=stop, replay=tape):
            if isinstance(event, MemberDelta) and event.member == "b" and not pressed:
                stop.set()
                pressed = time.monotonic()
            if isinstance(event, RunFinished):
                return event.result, time.monotonic() - pressed
        raise AssertionError("it has no end")

    result, took = asyncio.run(interrupted())
    assert (result.status, result.text) == ("stopped", "Paris")
    assert result["b"].text.startswith("Rome")
    assert took < 0.1


def test_a_replay_that_is_closed_leaves_no_thread(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    import threading

    server.models |= {"v/a": Say("Paris", gap_s=0.2), "v/b": Say("Rome " * 20, gap_s=0.05)}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    record(pool("a", "b", quorum=2))
    gone()

    async def close_early() -> None:
        events = stream("capital?", pool("a", "b", quorum=2), replay=Recording(TAPE, "original"))
        await anext(events)
        await events.aclose()

    asyncio.run(close_early())
    for thread in threading.enumerate():
        if thread.name == "nbfuse-replay":
            thread.join(1)  # its loop has ended, and so it will at once
            assert not thread.is_alive()


# --- what has changed -------------------------------------------------------------------------


@pytest.fixture
def recorded(server: LookAlike) -> Pool:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome"), "v/x": Say("Lyon")}
    server.models["v/judge"] = server.models["v/other"] = verdict(letter_of("Paris"))
    asked = pool("a", "b", quorum=2, system="Be short.")
    record(asked, "What is the capital of France?")
    return asked


@pytest.mark.parametrize(
    ("prompt", "settings", "said"),
    [
        ("What was the capital?", {}, "'What is the capital of France?' is now 'What was the"),
        (None, {"members": ("openrouter:v/a", "openrouter:v/x")}, "member b is now openrouter:v/x"),
        (None, {"members": ("openrouter:v/a",), "quorum": 1}, "they are now openrouter:v/a."),
        (None, {"judge": "openrouter:v/other"}, "judge was openrouter:v/judge; it is now"),
        (None, {"mode": "merge"}, "The pool's mode was best-of; it is now merge"),
        (None, {"quorum": None}, "quorum was 2; it is now not set"),
        (None, {"system": "Be long."}, "The system prompt was 'Be short.'; it is now 'Be long.'"),
    ],
)
def test_what_has_changed_is_named(
    server: LookAlike, recorded: Pool, prompt: str | None, settings: dict, said: str
) -> None:
    server.requests.clear()
    changed = msgspec.structs.replace(recorded, **settings)
    with pytest.raises(ReplayError, match=re.escape(said)) as caught:
        replay(changed, prompt or "What is the capital of France?")
    assert "Record it again" in caught.value.hint
    assert not server.requests


def test_another_picture_is_named(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    Path("a.png").write_bytes(PNG)
    record(pool("a", "b"), images=["a.png"])
    assert replay(pool("a", "b"), images=["a.png"]).text == "Paris"
    assert PNG[8:] not in TAPE.read_bytes()
    assert "base64" not in TAPE.read_text()
    with pytest.raises(ReplayError, match="Picture 1 is another one"):
        replay(pool("a", "b"), images=[PNG + b"x"])
    with pytest.raises(ReplayError, match="Pictures recorded: 1; now: 0"):
        replay(pool("a", "b"))


def test_a_call_that_differs_is_named_to_the_character(server: LookAlike, recorded: Pool) -> None:
    text = TAPE.read_text()
    assert "The candidates:" in text
    TAPE.write_text(text.replace("The candidates:", "The candidate:"))
    with pytest.raises(ReplayError, match="judge openrouter:v/judge is asked otherwise") as caught:
        replay(recorded, "What is the capital of France?")
    assert re.search(r"the prompt differs from character \d+: .*candidate", caught.value.message)


def test_tools_that_give_something_else_are_noticed(server: LookAlike) -> None:
    def caller(body: dict) -> Say:
        if "response_format" in body:
            called = any("gave" in message["content"] for message in body["messages"])
            return Say(json.dumps({"call": {"tool": "none"} if called else wanted}))
        return Say("Paris" if body["model"] == "v/a" else "Rome")

    wanted = {"tool": "weather", "arguments": {"city": "Paris"}}
    given = ["sunny"]

    def weather(city: str) -> str:
        """The weather."""
        return given[0]

    server.models |= {"v/a": caller, "v/b": caller, "v/judge": verdict(letter_of("Paris"))}
    first = record(pool("a", "b"), tools=[weather])
    assert masked(replay(pool("a", "b"), tools=[weather])) == masked(first)
    given[0] = "rain"
    with pytest.raises(ReplayError, match=r"'.*sunny.*' is now '.*rain"):
        replay(pool("a", "b"), tools=[weather])
    with pytest.raises(ReplayError, match="The tools were weather; they are now none"):
        replay(pool("a", "b"))


# --- the file ---------------------------------------------------------------------------------


def test_runs_in_one_file_are_found_by_prompt_and_by_order(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models["v/judge"] = lambda body: verdict(letter_of("Paris"))(body)
    for answer in ("Paris one", "Paris two"):
        server.models |= {"v/a": Say(answer), "v/b": Say("Rome")}
        record(pool("a", "b", quorum=2))
    record(pool("a", "b", quorum=2), "another question?")
    gone()
    assert len(Recording(TAPE)) == 3
    texts = [replay(pool("a", "b", quorum=2)).text for _ in range(3)]
    assert texts == ["Paris one", "Paris two", "Paris one"]
    assert replay(pool("a", "b", quorum=2), "another question?").text == "Paris two"
    assert replay(None).text == "Paris two"  # the pool that was asked then
    assert str(TAPE.resolve()) not in TAPE.read_text()


def test_no_key_gets_into_the_file(server: LookAlike, monkeypatch: pytest.MonkeyPatch) -> None:
    server.models |= {"v/a": Fail(401, {"message": f"bad key {KEY}"}), "v/b": Say("Rome")}
    record(pool("a", "b"))
    text = TAPE.read_text()
    assert KEY not in text
    assert KEY[9:] not in text
    assert "authorization" not in text.lower()
    assert "Bearer" not in text


@pytest.mark.parametrize("place", [".", "no/such/folder/run.jsonl", "data.csv"])
def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_asked(
    server: LookAlike, place: str
) -> None:
    Path("data.csv").write_text("question,answer\n1,2\n")
    with pytest.raises(ConfigError, match=re.escape(place)) as caught:
        asyncio.run(fuse("capital?", pool("a", "b"), record=place))
    assert "--record" in caught.value.hint
    assert not server.requests
    assert Path("data.csv").read_text() == "question,answer\n1,2\n"


def test_a_disk_that_is_full_costs_the_recording_and_no_answer(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Paris"))

    async def fill() -> FusionResult:
        async for event in stream("capital?", pool("a", "b"), record=TAPE):
            if isinstance(event, MemberFinished) and TAPE.is_file():
                TAPE.rename("aside.jsonl")
                TAPE.mkdir()  # nothing can be appended to it any more
            if isinstance(event, RunFinished):
                return event.result
        raise AssertionError("it has no end")

    result = asyncio.run(fill())
    assert result.text == "Paris"
    assert "The recording is not whole" in result.notes[-1]


KILLED = """
import asyncio, os
from nbfuse import Pool, stream
from nbfuse.core.events import MemberFinished

async def main():
    pool = Pool(members=("openrouter:v/a", "openrouter:v/b"), judge="openrouter:v/judge", quorum=2)
    async for event in stream("capital?", pool, record="run.jsonl"):
        if isinstance(event, MemberFinished):
            os._exit(9)

asyncio.run(main())
"""


def test_what_had_ended_outlives_a_kernel_that_is_killed(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome " * 99, gap_s=0.1)}
    done = subprocess.run([sys.executable, "-c", KILLED], check=False, timeout=30)
    assert done.returncode == 9
    (run,) = read_runs(TAPE)
    assert [call.spec for call in run.calls] == ["openrouter:v/a"]
    gone()
    with pytest.raises(ReplayError, match=r"broken off .* what openrouter:v/b said is not there"):
        replay(pool("a", "b", quorum=2))


def test_a_last_line_that_is_broken_off_costs_no_more_than_itself(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    first = record(pool("a", "b", quorum=2))
    TAPE.write_bytes(TAPE.read_bytes()[:-30])  # in the middle of the line that ends the run
    assert masked(replay(pool("a", "b", quorum=2))) == masked(first)
    record(pool("a", "b", quorum=2), "another?")  # begins a line of its own
    gone()
    assert masked(replay(pool("a", "b", quorum=2))) == masked(first)
    assert replay(pool("a", "b", quorum=2), "another?").text == "Paris"
    lines = TAPE.read_bytes().splitlines(keepends=True)
    judge = next(i for i, line in enumerate(lines) if b'"spec":"openrouter:v/judge","call"' in line)
    TAPE.write_bytes(b"".join(lines[:judge]))
    with pytest.raises(ReplayError, match="what openrouter:v/judge said is not there"):
        replay(pool("a", "b", quorum=2))


def test_a_run_that_was_given_up_is_not_replayed_as_if_it_had_ended(
    server: LookAlike, gone: Callable[[], None]
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome " * 99, gap_s=0.1)}

    async def give_up() -> None:
        events = stream("capital?", pool("a", "b", quorum=2), record=TAPE)
        async for event in events:
            if isinstance(event, MemberFinished):
                break
        await events.aclose()

    asyncio.run(give_up())
    gone()
    with pytest.raises(ReplayError, match="broken off"):
        replay(pool("a", "b", quorum=2))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "can't be read"), ("", "is empty"), ("a,b\n1,2\n", "no recording"), ("{}\n", "no rec")],
)
def test_a_file_that_is_no_recording_says_so(content: str | None, said: str) -> None:
    if content is not None:
        TAPE.write_text(content)
    with pytest.raises(ReplayError, match=said):
        replay(pool("a", "b"))
    with pytest.raises(ConfigError, match="recorded or replayed"):
        asyncio.run(fuse("hi", pool("a"), record="x", replay="y"))


# --- beside a run -----------------------------------------------------------------------------


def test_a_replay_is_allowed_where_nothing_may_leave_and_is_no_run_of_the_history(
    server: LookAlike, recorded: Pool, gone: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone()
    before = len(Ledger().runs())
    monkeypatch.setenv("NBFUSE_LOCAL_ONLY", "1")
    question = "What is the capital of France?"
    result = replay(recorded, question)
    assert replay(recorded, question, local_only=True).text == result.text == "Paris"
    assert result.cost > 0
    assert len(Ledger().runs()) == before
    with pytest.raises(PrivacyError):
        asyncio.run(fuse(question, recorded))


def test_a_judging_can_be_recorded_and_replayed_too(
    server: LookAlike, recorded: Pool, gone: Callable[[], None]
) -> None:
    question = "What is the capital of France?"
    first = replay(recorded, question)
    server.models["v/other"] = verdict(letter_of("Rome"))
    live = asyncio.run(rejudge(first, judge="openrouter:v/other", record="again.jsonl"))
    gone()
    again = asyncio.run(rejudge(first, judge="openrouter:v/other", replay="again.jsonl"))
    assert again.text == live.text == "Rome"
    assert masked(again) == masked(live)
    other = msgspec.structs.replace(first, answers=tuple(reversed(first.answers)))
    with pytest.raises(ReplayError, match=r"The member|answers that are judged again"):
        asyncio.run(rejudge(other, judge="openrouter:v/other", replay="again.jsonl"))


@pytest.mark.timeout(60)
def test_a_model_alone_is_replayed_too(
    server: LookAlike, gone: Callable[[], None], tmp_path: Path
) -> None:
    server.models["v/a"] = Say("Paris")
    alone, tape = Pool(members=("openrouter:v/a",)), tmp_path / "tape.jsonl"
    asyncio.run(fuse("Where?", alone, record=tape))
    gone()
    assert asyncio.run(fuse("Where?", alone, replay=tape)).text == "Paris"


def test_a_local_pool_replays_without_an_engine(tmp_path: Path) -> None:
    questions = ["What is 12 + 30?", "What is 7 * 8, and what is the capital of Japan?"]
    results = []
    for mode in ("best-of", "merge", "debate"):
        for question in questions:
            results.append(record_tiny(question, mode))
    script = (
        "import asyncio, json, sys, psutil, nbfuse\n"
        "from nbfuse.local.catalog import catalog\n"
        f"asked = {[(q, m) for m in ('best-of', 'merge', 'debate') for q in questions]!r}\n"
        "for question, mode in asked:\n"
        "    r = asyncio.run(nbfuse.fuse(question, 'tiny', mode=mode, replay='run.jsonl'))\n"
        "    print(nbfuse.to_json(r))\n"
        "assert not psutil.Process().children(recursive=True)\n"
        "assert 'xllamacpp' not in sys.modules and 'httpx' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    again = [msgspec.json.decode(line, type=FusionResult) for line in done.stdout.splitlines()]
    assert [masked(one) for one in again] == [masked(one) for one in results]


def record_tiny(question: str, mode: str) -> FusionResult:
    return asyncio.run(fuse(question, "tiny", mode=mode, record=TAPE))


def test_the_errors_of_a_third_partys_provider_come_again(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbfuse.providers import registry

    class Broken:
        local = True

        async def stream(self, _call: object):
            yield Chunk(text="a")
            raise ZeroDivisionError("by zero")

        async def describe(self, models: list[str]) -> list[object]:
            from nbfuse.providers.protocol import ModelInfo

            return [ModelInfo(id=model) for model in models]

    monkeypatch.setitem(registry._BUILDERS, "mine", lambda model: (Broken(), model))
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Paris")}
    asked = Pool(members=("openrouter:v/a", "mine:m"), judge="openrouter:v/b", quorum=2)
    first = record(asked)
    monkeypatch.delitem(registry._BUILDERS, "mine")
    assert "ZeroDivisionError: by zero" in first["m"].failure.message
    assert masked(replay(asked)) == masked(first)


# --- the command line -------------------------------------------------------------------------


def test_the_command_line_records_and_replays(server: LookAlike, gone: Callable[[], None]) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    words = ("-m", "openrouter:v/a,openrouter:v/b", "-j", "openrouter:v/judge")
    live = nbfuse("ask", *words, "--record", "run.jsonl", "--json", "capital?")
    assert live.returncode == 0, live.stderr
    gone()
    assert "OPENROUTER_API_KEY" not in os.environ
    again = nbfuse("ask", *words, "--replay", "run.jsonl", "--json", "capital?")
    assert again.returncode == 0, again.stderr
    first, second = (msgspec.json.decode(done.stdout, type=FusionResult) for done in (live, again))
    assert masked(first) == masked(second)
    unnamed = nbfuse("ask", "--replay", "run.jsonl", "--replay-speed", "original", "capital?")
    assert (unnamed.returncode, unnamed.stdout) == (0, "Rome\n")
    changed = nbfuse("ask", *words, "--replay", "run.jsonl", "capitals?")
    assert changed.returncode == 2
    assert "'capital?' is now 'capitals?'" in changed.stderr
    assert "Traceback" not in changed.stderr
    assert nbfuse("ask", "--replay-speed", "full", "hi").returncode == 2
    assert nbfuse("ask", *words, "--record", "no/where", "hi").returncode == 2


def test_the_lookalike_really_is_gone(gone: Callable[[], None], server: LookAlike) -> None:
    """What the tests above rest on: who asks after `gone` is refused."""
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    gone()
    with pytest.raises(NoAnswerError):
        asyncio.run(fuse("capital?", pool("a", "b")))
    assert lookalike.KEY not in os.environ.values()
