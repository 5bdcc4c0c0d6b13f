"""The client, against a real server on loopback that behaves like OpenRouter."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from decimal import Decimal

import pytest
from lookalike import KEY, Fail, Hangup, LookAlike, Raw, Say

from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk, Message
from nbfuse.providers import http
from nbfuse.providers.http import Limits
from nbfuse.providers.keys import Secret
from nbfuse.providers.openai import OpenAI

CALL = Call(model="m", messages=(Message("user", "hello"),))


def client(server: LookAlike, key: str = KEY, **more: object) -> OpenAI:
    return OpenAI(
        server.base_url,
        Secret(key),
        place="OpenRouter",
        key_name="OPENROUTER_API_KEY",
        openrouter=True,
        **more,
    )


def ask(provider: OpenAI, call: Call = CALL) -> list[Chunk]:
    async def collect() -> list[Chunk]:
        return [chunk async for chunk in provider.stream(call)]

    return asyncio.run(collect())


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def fails(provider: OpenAI, call: Call = CALL) -> errors.ModelError:
    with pytest.raises(errors.ModelError) as caught:
        ask(provider, call)
    assert KEY not in str(caught.value)
    return caught.value


def data(**payload: object) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def delta(words: str | None, **more: object) -> bytes:
    return data(choices=[{"delta": {"content": words}, **more}])


def test_an_answer_comes_with_usage_cost_and_the_generation_id(server: LookAlike) -> None:
    server.models["m"] = Say("Hello there, you.")
    chunks = ask(client(server))
    assert text(chunks) == "Hello there, you."
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (10, 3, 4)
    assert usage.cost == Decimal("0.001")
    assert chunks[0] == Chunk(generation_id="gen-1")  # before the first word
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["stop"]


def test_the_request_says_what_was_asked_for(server: LookAlike) -> None:
    server.models["m"] = Say("x")
    call = Call(
        model="m",
        messages=(Message("system", "be brief"), Message("user", "hi")),
        temperature=0.5,
        max_tokens=7,
        seed=3,
        stop=("END",),
        schema={"type": "object"},
    )
    ask(client(server), call)
    (body,) = server.asked("m")
    assert body["stream"] is True
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert (body["temperature"], body["max_tokens"], body["seed"], body["stop"]) == (
        0.5,
        7,
        3,
        ["END"],
    )
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["provider"] == {"require_parameters": True}  # else a schema is silently dropped
    assert "top_p" not in body
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "pieces",
    [
        [bytes([byte]) for byte in delta("é€😀") + b"data: [DONE]\n\n"],
        [delta("é€😀").replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"],
        [b"\xef\xbb\xbf: hello\n\n", delta("é€😀"), b"data: [DONE]\n\n", b"data: junk\n\n"],
        [delta(None), delta("é€"), data(choices=None, unknown=1), delta("😀"), b"data: [DONE]\n\n"],
        [delta("é€😀"), delta(None, finish_reason="stop")],  # no [DONE]
        [data(choices=[], debug={"x": 1}), delta("é€😀", finish_reason="stop")],
    ],
)
def test_odd_streams_are_read(server: LookAlike, pieces: list[bytes]) -> None:
    server.models["m"] = Raw(pieces)
    assert text(ask(client(server))) == "é€😀"


def test_a_server_that_does_not_stream_is_read_too(server: LookAlike) -> None:
    reply = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    server.models["m"] = Raw([json.dumps(reply).encode()], "application/json")
    assert text(ask(client(server))) == "whole"


def test_reasoning_is_kept_apart(server: LookAlike) -> None:
    thinking = data(choices=[{"delta": {"reasoning": "hm"}}])
    server.models["m"] = Raw([thinking, delta("yes", finish_reason="stop")])
    chunks = ask(client(server))
    assert (text(chunks), "".join(chunk.reasoning for chunk in chunks)) == ("yes", "hm")


@pytest.mark.parametrize("code", [502, "server_error"])
def test_an_error_in_the_middle_keeps_the_text(server: LookAlike, code: object) -> None:
    server.models["m"] = Say(
        "one two three", error_after=(2, {"code": code, "message": "went away"})
    )
    error = fails(client(server))
    assert isinstance(error, errors.StreamBrokenError)
    assert error.partial_text == "one two"
    assert "went away" in error.message
    assert len(server.requests) == 1  # never again once a word has come


def test_a_dropped_connection_is_a_partial_answer(server: LookAlike) -> None:
    server.models["m"] = Say("one two three", drop_after=2, gap_s=0.01)
    error = fails(client(server))
    assert isinstance(error, errors.StreamBrokenError)
    assert error.partial_text == "one two"


def test_an_end_without_a_finish_is_not_a_whole_answer(server: LookAlike) -> None:
    server.models["m"] = Raw([delta("half of an ans")])
    assert isinstance(fails(client(server)), errors.StreamBrokenError)


@pytest.mark.parametrize(
    ("status", "error", "kind", "words"),
    [
        (401, {"message": f"bad key {KEY}"}, errors.AuthError, "OPENROUTER_API_KEY"),
        (402, {"message": "Insufficient credits"}, errors.CreditsError, "credits"),
        (
            403,
            {"message": "flagged", "metadata": {"reasons": ["x"]}},
            errors.ModerationError,
            "Rephrase",
        ),
        (403, {"message": "Key limit exceeded"}, errors.AuthError, "Key limit exceeded"),
        (404, {"message": "no"}, errors.ModelNotFoundError, ""),
        (
            404,
            {"message": "no", "availability": {"code": "privacy_restricted"}},
            errors.ModelNotFoundError,
            "",
        ),
        (
            400,
            {"message": "too long", "metadata": {"error_type": "context_length_exceeded"}},
            errors.ContextTooLongError,
            "m",
        ),
        (
            400,
            {"message": "This model's maximum context length is 8 tokens"},
            errors.ContextTooLongError,
            "is 8 tokens.",
        ),
        (
            400,
            {"message": "bad", "type": "invalid_request_error"},
            errors.BadRequestError,
            "settings",
        ),
        (418, "<html>teapot</html>", errors.BadRequestError, "teapot"),
        (302, "", errors.ProviderUnavailableError, "redirect"),
    ],
)
def test_errors_say_what_to_do(
    server: LookAlike, status: int, error: dict, kind: type, words: str
) -> None:
    server.models["m"] = Fail(status, error, {"location": "http://127.0.0.2/v1"})
    found = fails(client(server))
    assert type(found) is kind
    assert words in str(found)
    assert len(server.asked("m")) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(server: LookAlike, status: int) -> None:
    server.models["m"] = Fail(status, {"message": "later"}, {"retry-after": "0"}, 2, Say("at last"))
    assert text(ask(client(server))) == "at last"
    assert len(server.requests) == 3


def test_it_gives_up_after_three_attempts(server: LookAlike) -> None:
    server.models["m"] = Fail(429, {"message": "slow down"}, {"retry-after": "0"})
    error = fails(client(server))
    assert isinstance(error, errors.RateLimitError)
    assert error.retry_after == 0
    assert len(server.requests) == 3


def test_the_server_may_forbid_another_attempt(server: LookAlike) -> None:
    server.models["m"] = Fail(503, {"message": "no", "availability": {"retryable": False}})
    fails(client(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_and_the_deadline_goes_first(
    server: LookAlike, form: str
) -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    wait = "60" if form == "seconds" else in_a_minute
    server.models["m"] = Fail(429, {"message": "wait"}, {"retry-after": wait})
    started = time.monotonic()
    error = fails(client(server), Call(model="m", messages=CALL.messages, timeout_s=5.0))
    assert isinstance(error, errors.RateLimitError)
    assert error.retry_after == pytest.approx(60, abs=2)
    assert time.monotonic() - started < 2  # a minute does not fit into five seconds
    assert len(server.requests) == 1


def test_an_unknown_model_comes_with_near_names(server: LookAlike) -> None:
    server.listed = [{"id": "mistralai/mistral-large"}, {"id": "openai/gpt-5"}]
    error = fails(client(server), Call(model="mistralai/mistral-larg", messages=CALL.messages))
    assert isinstance(error, errors.ModelNotFoundError)
    assert "mistralai/mistral-large" in error.hint


@pytest.mark.parametrize(
    ("limits", "say", "words"),
    [
        (Limits(first_s=0.2), Say("late", first_s=5), "no text for"),
        (Limits(idle_s=0.2), Say("one two", stall_after=1), "no sign of life"),
        (Limits(quiet_s=0.2), Say("one two", stall_after=1), "no text for"),
    ],
)
def test_each_limit_holds(server: LookAlike, limits: Limits, say: Say, words: str) -> None:
    server.models["m"] = say
    started = time.monotonic()
    error = fails(client(server, limits=limits))
    assert isinstance(error, errors.DeadlineError)
    assert words in error.message
    assert time.monotonic() - started < 3


def test_the_total_limit_holds_against_a_slow_drip(server: LookAlike) -> None:
    server.models["m"] = Say("drip " * 1000, gap_s=0.02)
    error = fails(client(server), Call(model="m", messages=CALL.messages, timeout_s=0.3))
    assert isinstance(error, errors.DeadlineError)


def test_no_server_says_so(server: LookAlike) -> None:
    nobody = OpenAI("http://127.0.0.1:9/v1", place="LM Studio")
    error = fails(nobody)
    assert isinstance(error, errors.ProviderUnavailableError)
    assert "Is the server running?" in error.hint


def test_junk_is_not_an_answer(server: LookAlike) -> None:
    server.models["m"] = Raw([b"<html>Welcome</html>"], "text/html")
    assert isinstance(fails(client(server)), errors.BadResponseError)


def test_compressed_answers_are_refused(server: LookAlike) -> None:
    server.models["m"] = Raw([b"\x1f\x8b"], headers={"content-encoding": "gzip"})
    assert isinstance(fails(client(server)), errors.StreamBrokenError)


def test_closing_the_iterator_closes_the_stream(server: LookAlike) -> None:
    server.models["m"] = Say("word " * 1000, gap_s=0.01)

    async def leave_early() -> None:
        stream = client(server).stream(CALL)
        async for chunk in stream:
            if chunk.text:
                break
        await stream.aclose()
        assert server.quiet()  # before the loop and its connections end

    asyncio.run(leave_early())


def test_a_stale_connection_costs_one_more_request_and_no_third(server: LookAlike) -> None:
    server.models["m"] = Say("hello", gap_s=0.05)
    provider = client(server)

    async def again() -> None:
        async def listen() -> str:
            return text([chunk async for chunk in provider.stream(CALL)])

        await asyncio.gather(listen(), listen(), listen())  # three connections are kept
        server.models["m"] = Hangup()
        with pytest.raises(errors.ProviderUnavailableError):
            await listen()

    asyncio.run(again())
    assert len(server.asked("m")) == 3 + 2  # the second goes into a new connection


def test_a_kept_connection_that_ends_late_may_have_worked(server: LookAlike) -> None:
    server.models["m"] = Say("hello")
    provider = client(server)

    async def again() -> None:
        assert text([chunk async for chunk in provider.stream(CALL)]) == "hello"
        server.models["m"] = Hangup(after_s=0.7)
        with pytest.raises(errors.ProviderUnavailableError):
            assert [chunk async for chunk in provider.stream(CALL)]

    asyncio.run(again())
    assert len(server.asked("m")) == 2


def test_models_have_prices_and_are_fetched_once_a_day(server: LookAlike) -> None:
    server.listed = [
        {
            "id": "a/b",
            "name": "A B",
            "context_length": 128000,
            "pricing": {"prompt": "0.00000015", "completion": "-1"},
        }
    ]

    async def twice() -> list:
        await client(server).models()
        return await client(server).models()

    (model,) = asyncio.run(twice())
    assert model.prompt_price == Decimal("0.00000015")
    assert model.completion_price is None  # a router's price varies
    assert model.context == 128000
    paths = [request.path for request in server.requests]
    assert sorted(paths) == ["/api/v1/models", "/api/v1/models?zdr=true"]
    assert model.zdr is False


def test_models_tell_whether_a_server_of_theirs_keeps_nothing(server: LookAlike) -> None:
    server.listed = [{"id": "a/b", "zdr": True}, {"id": "a/c"}]
    models = asyncio.run(client(server).models())
    assert {model.id: model.zdr for model in models} == {"a/b": True, "a/c": False}


def test_a_key_never_prints() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret!r} {secret!s} {[secret]}"


def test_loopback_is_recognised() -> None:
    assert http.is_loopback("http://127.0.0.1:8080/v1")
    assert http.is_loopback("http://[::1]/v1")
    assert http.is_loopback("http://localhost:1/v1")
    assert not http.is_loopback("https://127.0.0.1.example/v1")
    assert not http.is_loopback("http://10.0.0.1/v1")
