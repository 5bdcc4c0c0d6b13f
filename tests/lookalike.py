"""A server on loopback that behaves like OpenRouter, written to its documentation.

Real sockets and a thread of its own; what each model does is set in `models`: a `Say` for an
answer, a `Fail` for an HTTP error, a `Raw` for bytes that no well-behaved server would send, or a
function from the request's body to one of these.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


@dataclass
class Say:
    """Stream `text` word by word; `stall_after` words it falls silent, `drop_after` it hangs up."""

    text: str
    first_s: float = 0.0
    gap_s: float = 0.0
    finish: str | None = "stop"
    cost: str | None = "0.001"
    stall_after: int | None = None
    drop_after: int | None = None
    error_after: tuple[int, dict] | None = None
    done: bool = True
    refuses: bool = False  # says it as a refusal
    letters: dict[str, float] | None = None  # P of each letter where a judge names one


@dataclass
class Fail:
    """Answer with an HTTP error; after `times` of them, with `then`."""

    status: int
    error: dict | str
    headers: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    then: Say | None = None


@dataclass
class Raw:
    """Send these bytes, in these pieces, as the body of a stream."""

    pieces: Sequence[bytes]
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Hangup:
    """Take the request and, `after_s` seconds later, close the connection without a word."""

    after_s: float = 0.0


Behaviour = Say | Fail | Raw | Hangup


@dataclass
class Request:
    """What the server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict


class LookAlike:
    """The server; `requests` is what came in, `streaming` how many answers are being sent."""

    def __init__(self) -> None:
        self.models: dict[str, Behaviour | Callable[[dict], Behaviour]] = {}
        self.listed: list[dict] = []
        self.requests: list[Request] = []
        self.connections = 0
        self.streaming = 0
        self.base_url = ""

    def quiet(self) -> bool:
        """Whether no answer is being sent any more, seen within a second."""
        end = time.monotonic() + 1
        while self.streaming and time.monotonic() < end:
            time.sleep(0.005)
        return not self.streaming

    def asked(self, model: str) -> list[dict]:
        """The bodies of all requests to `model`."""
        return [r.body for r in self.requests if r.body.get("model") == model]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the server stops
        finally:
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection can be used again."""
        if request.path.endswith("/models"):
            return await _plain(writer, 200, {"data": self.listed})
        if request.path.endswith("/models?zdr=true"):
            listed = [model for model in self.listed if model.get("zdr")]
            return await _plain(writer, 200, {"data": listed})
        if request.headers.get("authorization") != f"Bearer {KEY}":
            error = {"code": 401, "message": f"No auth for {request.headers.get('authorization')}"}
            return await _plain(writer, 401, {"error": error})
        model = request.body.get("model", "")
        if model not in self.models:
            error = {"code": 404, "message": f"No endpoints found for {model}."}
            return await _plain(writer, 404, {"error": error})
        behaviour = self.models[model]
        if callable(behaviour):
            behaviour = behaviour(request.body)
        if isinstance(behaviour, Fail):
            if behaviour.times is not None:
                behaviour.times -= 1
                if behaviour.times < 0:
                    assert behaviour.then is not None
                    return await self._say(behaviour.then, model, reader, writer)
            body = behaviour.error
            return await _plain(
                writer,
                behaviour.status,
                {"error": body} if isinstance(body, dict) else body,
                behaviour.headers,
            )
        if isinstance(behaviour, Hangup):
            await asyncio.sleep(behaviour.after_s)
            return False
        if isinstance(behaviour, Raw):
            _head(writer, 200, behaviour.content_type, behaviour.headers)
            for piece in behaviour.pieces:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
            return True
        return await self._say(behaviour, model, reader, writer)

    async def _say(
        self,
        say: Say,
        model: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        self.streaming += 1
        closed = asyncio.create_task(_closed(reader, writer))
        try:
            work = asyncio.create_task(self._stream(say, model, writer))
            await asyncio.wait({work, closed}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                return False
            return work.result()
        finally:
            closed.cancel()
            self.streaming -= 1

    async def _stream(self, say: Say, model: str, writer: asyncio.StreamWriter) -> bool:
        _head(writer, 200, "text/event-stream", {"x-generation-id": f"gen-{len(self.requests)}"})
        _event(writer, ": OPENROUTER PROCESSING\n\n")
        await writer.drain()
        await asyncio.sleep(say.first_s)
        words = say.text.split(" ")
        for i, word in enumerate(words):
            if say.drop_after == i:
                writer.transport.abort()
                return False
            if say.stall_after == i:
                await asyncio.sleep(3600)
            if say.error_after is not None and say.error_after[0] == i:
                failed = {"error": say.error_after[1], "choices": [_choice("", "error")]}
                _event(writer, f"data: {json.dumps(failed)}\n\n")
                writer.write(b"0\r\n\r\n")
                return True
            text = word if i == 0 else f" {word}"
            choice = _choice(text, key="refusal" if say.refuses else "content")
            chunk = {"id": "gen", "model": model, "provider": "Test", "choices": [choice]}
            if say.letters is not None:
                chosen = i > 0 and re.search(r'"(best|field_\d+)":$', words[i - 1])
                chunk["choices"][0]["logprobs"] = _logprobs(text, say.letters if chosen else None)
            _event(writer, f"data: {json.dumps(chunk)}\n\n")
            if say.gap_s:
                await writer.drain()
                await asyncio.sleep(say.gap_s)
        if say.finish is not None:
            _event(writer, f"data: {json.dumps({'choices': [_choice('', say.finish)]})}\n\n")
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": len(words),
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        if say.cost is not None:
            usage["cost"] = float(say.cost)
        _event(writer, f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n")
        if say.done:
            _event(writer, "data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _choice(text: str, finish: str | None = None, key: str = "content") -> dict:
    return {"index": 0, "delta": {key: text}, "finish_reason": finish}


def _logprobs(text: str, letters: dict[str, float] | None) -> dict:
    """The word as one token, or as three with the likeliest letters at the place of the second."""
    pieces = [text] if letters is None else re.split("([A-Z])", text)
    content = []
    for piece in pieces:
        top = {piece: 1.0} if letters is None or len(piece) != 1 else letters
        shares = [{"token": t, "logprob": math.log(p)} for t, p in top.items() if p > 0]
        content.append({"token": piece, "logprob": 0.0, "top_logprobs": shares})
    return {"content": content}


def _event(writer: asyncio.StreamWriter, text: str) -> None:
    data = text.encode()
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def _head(writer: asyncio.StreamWriter, status: int, kind: str, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())


async def _plain(
    writer: asyncio.StreamWriter, status: int, body: object, headers: dict[str, str] | None = None
) -> bool:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json"]
    lines += [f"content-length: {len(data)}", *(f"{n}: {v}" for n, v in (headers or {}).items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + data)
    await writer.drain()
    return True


async def _closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not (reader.at_eof() or writer.transport.is_closing()):  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(0.002)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, json.loads(body) if body else {})


@contextmanager
def running() -> Iterator[LookAlike]:
    """A look-alike that serves in a thread until the block ends."""
    server, ready = LookAlike(), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
        server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/api/v1"
        ready.set()
        await stop.wait()
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)  # for them to end

    def work() -> None:
        loop.run_until_complete(serve())
        loop.close()

    stop = asyncio.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        server.quiet()
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def verdict(best: Callable[[str], str], **more: object) -> Callable[[dict], Say]:
    """A judge that finds the letter of the candidate in which `best` sees its word."""

    def reply(body: dict) -> Say:
        prompt = body["messages"][:2][-1]["content"]  # what follows are complaints about a reply
        letter = best(prompt)
        heads = (line for line in prompt.splitlines() if line.startswith("Candidate "))
        ids = dict.fromkeys(head.split()[1] for head in heads)  # once: a candidate may say it too
        marks = [
            {
                "id": one,
                "errors": [],
                "correctness": 4 if one == letter else 1,
                "completeness": 4,
                "instruction_fit": 4,
                "risk": "",
            }
            for one in ids
        ]
        second = next((one for one in ids if one != letter), None)
        choice = {
            "best": letter,
            "runner_up": second,
            "margin": "clear",
            "none_acceptable": False,
            **more,
        }
        ruling = {
            "candidates": marks,
            "disagreements": ["the answer"],
            "verdict": choice,
            "reason": f"Candidate {letter} is right.",
        }
        return Say(json.dumps(ruling))

    return reply


def wanted(body: dict) -> str:
    """What a judge is asked for: an `analysis`, a `verdict`, a debater's `reply`, or to write."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    marks = {"consensus": "analysis", "verdict": "verdict", "errors_found": "reply"}
    shape = str(schema)
    return next((what for key, what in marks.items() if f"'{key}':" in shape), "writing")


def letter_of(word: str) -> Callable[[str], str]:
    """Finds the letter of the candidate that contains `word` in a judge's prompt."""

    def find(prompt: str) -> str:
        letter = "?"
        for line in prompt.splitlines():
            if line.startswith("Candidate "):
                letter = line.split()[1]
            fence = line.startswith("<<<") or line.endswith(">>>")  # its tag may hold any digits
            if word in line and letter != "?" and not fence:
                return letter
        raise AssertionError(f"no candidate says {word!r}")

    return find
