"""OpenAI's chat completions over loopback, streamed, for one model of MLX.

As much of the protocol as nbfuse's client speaks, in the dialect of llama.cpp's server: several
samples in one stream, a schema that is obeyed, log-probabilities of any number of tokens. Why not
`mlx_lm.server`: it asks for no key, obeys no schema, makes one sample, and stops no long prompt.
"""

from __future__ import annotations

import hmac
import json
import queue
import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import llguidance
import llguidance.hf
import msgspec
from mlx_lm.generate import TextStateMachine

from nbfuse.local.mlx.batch import Batch
from nbfuse.local.mlx.job import Job, Told, Wish

LOOK_S = 0.05  # between two looks at whether somebody still listens
MOST_BYTES = 64 * 2**20
BAD, REFUSED, NOT_FOUND, FAULT = 400, 401, 404, 500


class _Format(msgspec.Struct):
    type: str = "text"
    schema: Mapping[str, Any] | None = None


class _Request(Wish, frozen=True, kw_only=True):
    messages: list[dict[str, Any]]
    stop: tuple[str, ...] = ()
    response_format: _Format | None = None
    grammar: str | None = None


class _RefusedError(Exception):
    """A request that can't be answered: HTTP status, kind as llama.cpp calls it, and why."""

    def __init__(self, status: int, kind: str, why: str, **more: object) -> None:
        super().__init__(why)
        self.status = status
        self.body = {"error": {"code": status, "type": kind, "message": why, **more}}


def serve(folder: Path, key: str, context: int, slots: int, idle_s: float) -> str:
    """The address at which the model in `folder` answers whoever knows `key`.

    Raises whatever mlx-lm raises where it can't be loaded.
    """
    server = _Server(Desk(Batch(folder, context, slots, idle_s), slots), key)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


class Desk:
    """Turns requests into jobs, and what is told of them into pieces of text."""

    def __init__(self, batch: Batch, slots: int) -> None:
        self._batch, self._slots = batch, slots
        self._lock = threading.Lock()  # a tokenizer serves one at a time
        self._words: Any = None  # llguidance's view of the vocabulary: half a second, when needed

    def accept(self, body: bytes) -> tuple[_Request, Job]:
        """The request and its job, not yet begun; raises `_RefusedError`."""
        try:
            request = msgspec.json.decode(body, type=_Request)
        except msgspec.MsgspecError as error:
            raise _RefusedError(BAD, "invalid_request_error", str(error)) from None
        if not 1 <= request.n <= self._slots:
            why = f"n must be from 1 to {self._slots}"
            raise _RefusedError(BAD, "invalid_request_error", why)
        with self._lock:
            prompt, matcher = self._prompt(request), self._matcher(request)
        if len(prompt) >= self._batch.context:
            raise _RefusedError(
                BAD,
                "exceed_context_size_error",
                f"the prompt has {len(prompt)} tokens, the context {self._batch.context}",
                n_prompt_tokens=len(prompt),
                n_ctx=self._batch.context,
            )
        return request, Job(prompt, request, matcher)

    def _prompt(self, request: _Request) -> list[int]:
        try:
            return list(
                self._batch.tokenizer.apply_chat_template(
                    request.messages, add_generation_prompt=True
                )
            )
        except Exception as error:  # a template is a program of the model's, and may raise anything
            raise _RefusedError(BAD, "invalid_request_error", f"its template: {error}") from None

    def _matcher(self, request: _Request) -> Any:
        wanted = request.response_format
        if wanted is not None and wanted.type == "json_object":
            schema = {"type": "object"} if wanted.schema is None else wanted.schema
            make = partial(
                llguidance.LLMatcher.grammar_from_json_schema,
                json.dumps(schema),
                # a small model would go on with line breaks for good
                defaults={"whitespace_flexible": False},
            )
        elif request.grammar is not None:
            make = partial(llguidance.grammar_from, "gbnf", request.grammar)
        else:
            return None
        if self._words is None:
            tokenizer = self._batch.tokenizer
            self._words = llguidance.hf.from_tokenizer(
                tokenizer._tokenizer, eos_token=list(tokenizer.eos_token_ids)
            )
        try:
            grammar = make()
        except ValueError as error:
            raise _RefusedError(BAD, "invalid_request_error", str(error)) from None
        matcher = llguidance.LLMatcher(self._words, grammar)
        if why := matcher.get_error():
            raise _RefusedError(BAD, "invalid_request_error", why)
        return matcher

    def answer(
        self, request: _Request, job: Job, heard: Callable[[], bool]
    ) -> Iterator[dict[str, Any]]:
        """Have the job done: the events of its answer, as long as `heard()` says yes."""
        self._batch.submit(job)
        tokenizer = self._batch.tokenizer
        samples = [_Text(tokenizer, job.prompt, request.stop) for _ in range(request.n)]
        open_ones = set(range(request.n))
        while open_ones:
            try:
                told = job.told.get(timeout=LOOK_S)
            except queue.Empty:
                if not heard():
                    return
                continue
            if isinstance(told, Exception):  # an OSError, too, is not one of the client's
                raise RuntimeError(f"{type(told).__name__}: {told}")
            if told.sample not in open_ones:  # it had come to a stop word before
                continue
            sample = samples[told.sample]
            delta, stopped = sample.take(told)
            finish = "stop" if stopped else told.finish
            if delta or finish or request.top_logprobs is not None:
                choice = {"index": told.sample, "delta": delta, "finish_reason": finish}
                if request.top_logprobs is not None:
                    choice["logprobs"] = {"content": [self._logprob(told)]}
                yield {"object": "chat.completion.chunk", "choices": [choice]}
            if finish is not None:
                job.enough.add(told.sample)
                open_ones.discard(told.sample)
                yield {"object": "chat.completion.chunk", "choices": [], "usage": {
                    "prompt_tokens": len(job.prompt),
                    "completion_tokens": sample.tokens,
                    "prompt_tokens_details": {"cached_tokens": job.cached},
                }}  # fmt: skip

    def _logprob(self, told: Told) -> dict[str, Any]:
        decode = self._batch.tokenizer.decode
        top = [{"token": decode([token]), "logprob": value} for token, value in told.top]
        return {"token": decode([told.token]), "logprob": told.logprob, "top_logprobs": top}


class _Text:
    """The text of a sample: tokens in, pieces out, without stop words and marks of thinking."""

    def __init__(self, tokenizer: Any, prompt: list[int], stop: Sequence[str]) -> None:
        self.tokens = 0
        self._letters = tokenizer.detokenizer
        self._silent = set(tokenizer.all_special_ids)
        edges: dict[str, list[tuple[str, str | None]]] = {"normal": [(word, None) for word in stop]}
        begin = "normal"
        if tokenizer.has_thinking:
            for marks in (tokenizer.think_start_tokens, tokenizer.think_end_tokens):
                self._silent -= set(marks or ())
            edges["normal"].append((tokenizer.think_start, "reasoning"))
            edges["reasoning"] = [(tokenizer.think_end, "normal")]
            if tokenizer.rfind_think_start(prompt) > tokenizer.rfind_think_end(prompt):
                begin = "reasoning"  # the template has opened it
        self._state = TextStateMachine(edges).make_state(begin)

    def take(self, told: Told) -> tuple[dict[str, str], bool]:
        """What a token adds, as a delta, and whether a stop word ends it here."""
        self.tokens += told.seen
        if told.seen and told.token not in self._silent:
            self._letters.add_token(told.token)
        if told.finish is not None:
            self._letters.finalize()
        self._state, pieces = TextStateMachine.split(self._state, self._letters.last_segment)
        stopped = self._state[0] is None
        if told.finish is not None and not stopped:  # what could have become a word did not
            self._state, rest, state = TextStateMachine.flush(self._state)
            pieces.append((state, rest))
        delta: dict[str, str] = {}
        for state, piece in pieces:
            name = "reasoning_content" if state == "reasoning" else "content"
            if piece:
                delta[name] = delta.get(name, "") + piece
        return delta, stopped


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, desk: Desk, key: str) -> None:
        self.desk, self.key = desk, key
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # http.server would look up the host's name


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    connection: socket.socket
    protocol_version = "HTTP/1.1"  # so that an answer which breaks off is seen to be cut

    def log_message(self, *_: object) -> None:
        """Say nothing: the log is for what goes wrong."""

    def do_GET(self) -> None:
        """Only whether it is up: no key, no news."""
        ready = self.path == "/health"
        self._send(200 if ready else NOT_FOUND, {"status": "ok"} if ready else {})

    def do_POST(self) -> None:
        """Answer a chat completion."""
        self.close_connection = True
        try:
            request, job = self.server.desk.accept(self._body())
        except _RefusedError as refused:
            self._send(refused.status, refused.body)
            return
        try:
            self._stream(self.server.desk.answer(request, job, self._heard))
        except OSError:
            pass  # nobody listens any more
        finally:
            job.left = True

    def _body(self) -> bytes:
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.server.key}".encode()):
            raise _RefusedError(REFUSED, "authentication_error", "Invalid API Key")
        if self.path != "/v1/chat/completions":
            raise _RefusedError(NOT_FOUND, "not_found_error", "there is only /v1/chat/completions")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            raise _RefusedError(BAD, "invalid_request_error", "no body of a known, fair length")
        return self.rfile.read(int(length))

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in events:
                self._write(json.dumps(event))
        except OSError:
            raise  # the client's end, not ours
        except Exception as error:  # of the thread that computes
            self._write(json.dumps(_RefusedError(FAULT, "server_error", str(error)).body))
        else:
            self._write("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _write(self, data: str) -> None:
        line = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _send(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _heard(self) -> bool:
        """Whether the client is still there: one that has gone can be read to its end."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
