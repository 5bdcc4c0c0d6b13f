"""The only module that knows httpx: one client for each event loop and server, four limits.

Redirects are never followed (a key and a prompt would go to another host), compressed replies are
refused (httpx unpacks them without a bound), and what goes wrong leaves as one of four exceptions
that say whether asking again is safe. The key is put on by httpx itself, so that no frame of ours
holds it when a traceback is shown with its variables.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from weakref import WeakKeyDictionary

import httpx
import msgspec

from nbfuse.core import fence
from nbfuse.providers.keys import Secret
from nbfuse.providers.sse import EventReader, TooLargeError

MAX_BODY_BYTES = 32_000_000  # the list of all OpenRouter models is about a megabyte
MAX_ANSWER_BYTES = 64_000_000
DONE = "[DONE]"  # the last event of a stream; not every server sends it
DRAIN_S = 0.25
STALE_S = 0.5
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


class Address(msgspec.Struct, frozen=True):
    """Where to ask and how: base URL, key, further headers, limits."""

    base_url: str
    key: Secret | None = None
    headers: tuple[tuple[str, str], ...] = ()
    limits: Limits = Limits()


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


class _Bearer(httpx.Auth):
    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._key.reveal()}"
        yield request


class _Clients:
    """The clients of one event loop, closed when the loop is."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[str, bool], httpx.AsyncClient] = {}
        self.end = self._close_at_end()

    async def _close_at_end(self) -> AsyncGenerator[None]:
        # `asyncio.run` closes the generators that are still open before it closes its loop: the
        # only moment at which connections can be closed without asking users to do it
        try:
            yield
        finally:
            for client in self.by_key.values():
                await client.aclose()
            self.by_key.clear()


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine and no other."""
    return fence.is_loopback(httpx.URL(url).host)


async def _client(address: Address) -> httpx.AsyncClient:
    loop = asyncio.get_running_loop()
    for other in [loop for loop in _loops if loop.is_closed()]:
        del _loops[other]  # its clients hold it, so the weak reference alone would not end
    if loop not in _loops:
        _loops[loop] = _Clients()
        await anext(_loops[loop].end)
    clients, keep_alive = _loops[loop].by_key, address.limits.keep_alive
    if (address.base_url, keep_alive) not in clients:
        clients[address.base_url, keep_alive] = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=None if keep_alive else 0,
                keepalive_expiry=KEEPALIVE_S,
            ),
            trust_env=not is_loopback(address.base_url),  # a proxy must not see what stays here
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )
    return clients[address.base_url, keep_alive]


async def close_clients() -> None:
    """Close the connections of the running event loop; the next call opens new ones."""
    clients = _loops.pop(asyncio.get_running_loop(), None)
    if clients is not None:
        await clients.end.aclose()


async def get_body(address: Address, path: str, timeout_s: float) -> bytes:
    """The body of a GET; raises one of this module's exceptions."""
    try:
        async with asyncio.timeout(timeout_s):
            response = await _send(address, "GET", path, None)
            try:
                return await _body(response)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise TooSlow(f"no answer in {timeout_s:g} s") from error


async def _send(address: Address, method: str, path: str, body: bytes | None) -> httpx.Response:
    client = await _client(address)
    clock = asyncio.get_running_loop().time
    connected, sent = False, clock()

    async def trace(event: str, _info: object) -> None:
        nonlocal connected
        connected = connected or event.startswith("connection.connect")

    try:
        request = client.build_request(
            method,
            address.base_url.rstrip("/") + path,
            headers=dict(address.headers),
            content=body,
            timeout=httpx.Timeout(None, connect=address.limits.connect_s),
            extensions={"trace": trace},
        )
        auth = _Bearer(address.key) if address.key is not None else None
        response = await client.send(request, stream=True, auth=auth)
    except httpx.ConnectTimeout as error:
        reason = f"no connection within {address.limits.connect_s:g} s"
        raise Unreachable(reason, safe=True) from error
    except httpx.ConnectError as error:
        raise Unreachable(str(error) or "connection refused", safe=True) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        # On a connection from an earlier call this is its usual end, seen at once; later, or on a
        # new one, the server may have taken the request, and asking again may be paid twice.
        ended = isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        stale = ended and not connected and clock() - sent < STALE_S
        raise Unreachable(str(error) or type(error).__name__, safe=stale, stale=stale) from error
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
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass


class Head(msgspec.Struct, frozen=True):
    """The headers of an answer, before anything of it has come."""

    headers: Mapping[str, str]


async def post_events(
    address: Address, path: str, body: bytes, total_s: float
) -> AsyncGenerator[Head | str]:
    """Yield the head of a streamed answer, then the data of each event (or the whole body).

    Each read is timed by itself, outside of the `yield`: a timeout around a `yield` would cancel
    the reader's own code.
    """
    limits, clock = address.limits, asyncio.get_running_loop().time
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
            response = await _send(address, "POST", path, body)
    except TimeoutError as error:
        raise too_slow() from error
    try:
        yield Head(response.headers)
        if any(kind in response.headers.get("content-type", "") for kind in ("json", "html")):
            async with asyncio.timeout_at(due(limits.first_s)):
                whole = await _body(response)
            yield whole.decode("utf-8", errors="replace")
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
                if data.strip() == DONE:
                    yield DONE
                    await _drain(pieces)
                    return
                yield data
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
