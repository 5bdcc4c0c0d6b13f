"""A reader of server-sent events that bounds what it holds and survives what servers send.

httpx-sse 0.4.3 was tried first: it drops the first event after a byte-order mark and a last event
without a blank line, and holds an endless line in memory. Format: the HTML standard, section 9.2.
"""

from __future__ import annotations

import codecs
import re

MAX_EVENT_BYTES = 4_000_000  # a reasoning block may be large; an endless line must end

_LINE_END = re.compile(rb"\r\n|\n|\r")


class TooLargeError(Exception):
    """One event is larger than `MAX_EVENT_BYTES`."""


class EventReader:
    """Turns bytes, cut anywhere, into the `data` of each event; comments are skipped."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0  # of `_data`, an empty line counted too
        self._started = False
        self._after_cr = False  # a "\n" that comes next belongs to the "\r" before it

    def feed(self, received: bytes) -> list[str]:
        """The data of the events that `received` completes; raises `TooLargeError`."""
        if self._after_cr and received:
            received = received.removeprefix(b"\n")
            self._after_cr = False
        text = self._rest + received
        if not self._started and text:
            if len(text) < 3 and codecs.BOM_UTF8.startswith(text):
                self._rest = text
                return []
            text = text.removeprefix(codecs.BOM_UTF8)
            self._started = True
        if b"\r" in text:
            self._after_cr = text.endswith(b"\r")
            *lines, self._rest = _LINE_END.split(text)
        else:
            *lines, self._rest = text.split(b"\n")
        events = [event for line in lines if (event := self._line(line)) is not None]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise TooLargeError
        return events

    def close(self) -> list[str]:
        """The last event, where the stream ended without the blank line that completes one."""
        self._line(self._rest)
        self._rest = b""
        last = self._line(b"")
        return [] if last is None else [last]

    def _line(self, line: bytes) -> str | None:
        if not line:
            if not self._data:
                return None
            event = b"\n".join(self._data).decode("utf-8", errors="replace")
            self._data, self._size = [], 0
            return event
        if line.startswith(b"data:") or line == b"data":
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            self._size += len(line)
        return None
