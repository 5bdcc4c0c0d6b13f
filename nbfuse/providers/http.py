"""The only module that knows httpx: one client for each event loop and server, four limits.

Redirects are never followed (a key and a prompt would go to another host), compressed replies are
refused (httpx unpacks them without a bound), and what goes wrong leaves as one of four exceptions
that say whether asking again is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from weakref import WeakKeyDictionary

import httpx
import msgspec

from nbfuse.providers.sse import EventReader, TooLargeError

MAX_BODY_BYTES = 32_000_000  # the list of all OpenRouter models is about a megabyte
MAX_ANSWER_BYTES = 64_000_000
DONE = "[DONE]"  # the last event of a stream; not every server sends it
DRAIN_S = 0.25
KEEPALIVE_S = 120.0  # httpx's 5 s would open new connections in almost every cell


class Limits(msgspec.Struct, frozen=True):
    """Seconds to connect, to the first event, without a byte, and without an event.

    Keep-alive comments count as bytes: a server that thinks for minutes is alive, but not forever.
    `keep_alive` keeps connections for the next call.
    """

    connect_s: float = 10.0
    first_s: float = 180.0
    idle_s: float = 60.0
    quiet_s: float = 300.0
    keep_alive: bool = True


class Rejected(Exception):
    """The server answered with a status that is not 2xx."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers, self.body = status, headers, body


class Unreachable(Exception):
    """No answer began; `safe` tells that the server can't have started to work.

    `stale` tells that a kept connection had been closed meanwhile: a new one will do.
    """

    def __init__(self, reason: str, *, safe: bool, stale: bool = False) -> None:
        super().__init__(reason)
        self.safe, self.stale = safe, stale


class Broken(Exception):
    """The answer began and did not end."""


class TooSlow(Exception):
    """One of the limits has passed."""


_Clients = dict[tuple[str, bool], httpx.AsyncClient]
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine and no other."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(base_url: str, keep_alive: bool) -> httpx.AsyncClient:
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if (base_url, keep_alive) not in clients:
        clients[base_url, keep_alive] = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=None if keep_alive else 0,
                keepalive_expiry=KEEPALIVE_S,
            ),
            trust_env=not is_loopback(base_url),  # a proxy must not see what stays here
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )
    return clients[base_url, keep_alive]


async def close_clients() -> None:
    """Close the connections of the running event loop."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.aclose()


async def get_body(base_url: str, path: str, headers: Mapping[str, str], timeout_s: float) -> bytes:
    """The body of a GET; raises one of this module's exceptions."""
    try:
        async with asyncio.timeout(timeout_s):
            response = await _send(base_url, "GET", path, headers, None, Limits())
            try:
                return await _body(response)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise TooSlow(f"no answer in {timeout_s:g} s") from error


async def _send(
    base_url: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None,
    limits: Limits,
) -> httpx.Response:
    client = _client(base_url, limits.keep_alive)
    request = client.build_request(
        method,
        base_url.rstrip("/") + path,
        headers=dict(headers),
        content=body,
        timeout=httpx.Timeout(None, connect=limits.connect_s),
    )
    try:
        response = await client.send(request, stream=True)
    except httpx.ConnectTimeout as error:
        raise Unreachable(f"no connection within {limits.connect_s:g} s", safe=True) from error
    except httpx.ConnectError as error:
        raise Unreachable(str(error) or "connection refused", safe=True) from error
    except httpx.RemoteProtocolError as error:
        stale = "without sending" in str(error)  # the usual end of a kept connection
        raise Unreachable(str(error), safe=stale, stale=stale) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise Unreachable(str(error) or type(error).__name__, safe=False) from error
    if response.status_code // 100 != 2:
        try:
            content = await _body(response)
        finally:
            await response.aclose()
        raise Rejected(response.status_code, response.headers, content)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        await response.aclose()
        raise Broken("the server sent a compressed answer although it was asked not to")
    return response


async def _body(response: httpx.Response) -> bytes:
    received = bytearray()
    try:
        async for piece in response.aiter_raw():
            received += piece
            if len(received) > MAX_BODY_BYTES:
                raise Broken(f"the answer is larger than {MAX_BODY_BYTES:,} bytes")
    except httpx.HTTPError as error:
        raise Broken(str(error) or type(error).__name__) from error
    return bytes(received)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event: only a connection read to its end can be used again."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass


class Reply(msgspec.Struct, frozen=True):
    """One event (or, from a server that does not stream, the whole body) with the headers."""

    headers: Mapping[str, str]
    data: str


async def post_events(
    base_url: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    limits: Limits,
    total_s: float,
) -> AsyncGenerator[Reply]:
    """Yield the events of a streamed answer; an empty `data` stands for the headers alone.

    Each read is timed by itself, outside of the `yield`: a timeout around a `yield` would cancel
    the reader's own code.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + total_s
    event_limit, event_due = limits.first_s, clock() + limits.first_s

    def due(idle_s: float) -> float:
        return min(end, event_due, clock() + idle_s)

    def too_slow() -> TooSlow:
        now = clock()
        if now >= end:
            return TooSlow(f"not finished after {total_s:g} s")
        if now >= event_due:
            return TooSlow(f"no text for {event_limit:g} s")
        return TooSlow(f"no sign of life for {limits.idle_s:g} s")

    try:
        async with asyncio.timeout_at(due(limits.first_s)):
            response = await _send(base_url, "POST", path, headers, body, limits)
    except TimeoutError as error:
        raise too_slow() from error
    try:
        yield Reply(response.headers, "")
        if "text/event-stream" not in response.headers.get("content-type", ""):
            async with asyncio.timeout_at(due(limits.first_s)):
                whole = await _body(response)
            yield Reply(response.headers, whole.decode("utf-8", errors="replace"))
            return
        reader, size = EventReader(), 0
        pieces = response.aiter_raw()
        while True:
            async with asyncio.timeout_at(due(limits.idle_s)):
                piece = await anext(pieces, None)
            size += len(piece or b"")
            if size > MAX_ANSWER_BYTES:
                raise Broken(f"the answer is larger than {MAX_ANSWER_BYTES:,} bytes")
            events = reader.close() if piece is None else reader.feed(piece)
            for data in events:
                yield Reply(response.headers, data)
                if data.strip() == DONE:
                    await _drain(pieces)
                    return
            if piece is None:
                return
            if events:
                event_limit, event_due = limits.quiet_s, clock() + limits.quiet_s
    except TimeoutError as error:
        raise too_slow() from error
    except TooLargeError as error:
        raise Broken("one event of the stream is larger than four million bytes") from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise Broken(str(error) or type(error).__name__) from error
    finally:
        await response.aclose()
