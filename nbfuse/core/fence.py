"""Local means local: within the fence, nothing in this process can reach beyond loopback.

An audit hook of Python's refuses the connection or the look-up itself, whoever asks for it, so that
a provider of a third party that calls itself local is held to it too. The fence is a context
variable: it holds for the tasks of one run, and not for the rest of the user's notebook.
"""

from __future__ import annotations

import functools
import ipaddress
import sys
from contextvars import ContextVar

from nbfuse.core.errors import PrivacyError

_inside: ContextVar[bool] = ContextVar("nbfuse_local_only", default=False)


def stay_inside() -> None:
    """Refuse, from here on in this task and those that it starts, what would leave this machine.

    What is refused raises `PrivacyError` where it is tried.
    """
    _hook()
    _inside.set(True)


@functools.cache
def _hook() -> None:
    """Add the hook, once: one can't be taken away again."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
        return
    if not _inside.get():
        return
    host: object = arguments[0]
    if event != "socket.getaddrinfo":
        address = arguments[1]
        if not isinstance(address, tuple):  # a Unix socket's path, or a socket connected before
            return
        host = address[0]
    if host is not None and not is_loopback(host):
        raise PrivacyError(
            f"This run is local only, and something in it wanted to reach {host}.",
            "Leave that model out, or allow it: local_only = false.",
        )


def is_loopback(host: object) -> bool:
    """Whether a host's name or address is this machine's own."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text == "localhost"
