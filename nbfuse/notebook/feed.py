"""What the view in the browser is told: a snapshot once, then changes, all streams in one message.

Text goes as it grows, as plain text; a block that has ended goes once more as harmless HTML.
Messages are numbered, so that a view which begins in the middle knows what its snapshot holds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from threading import Lock

from nbfuse.core import events
from nbfuse.core.clean import clean
from nbfuse.core.events import Event
from nbfuse.core.types import FusionResult
from nbfuse.render.blocks import Blocks
from nbfuse.render.board import Board, Member, Work
from nbfuse.render.fields import as_markdown
from nbfuse.render.model import model_html
from nbfuse.render.sheet import sheet

MOST_SHOWN = 100_000  # characters of a text that are shown; the result holds all of it
DRAWING_S = 0.5  # for the colours and formulas of one text; whoever writes more gets them plain
_ESCAPE = re.compile("\x1b.{0,64}\\Z", re.DOTALL)  # the end of it may still come
FUSED = 0  # the number of the fused answer's stream; members follow in their order


class Stream:
    """One growing text: what is new of it, and which of its blocks have ended."""

    def __init__(self) -> None:
        self.text = ""  # what the browser has been told of it: its source,
        self.html = ""  # the blocks that have ended,
        self.tail = ""  # and the one that grows
        self.size = 0
        self._held = ""
        self._spent = 0.0
        self._blocks = Blocks()
        self._new: list[str] = []
        self._ended = False

    def feed(self, text: str) -> None:
        """More of the text."""
        shown = text[: max(0, MOST_SHOWN - self.size)]
        self.size += len(text)
        if shown:
            self._new.append(shown)
            self._blocks.feed(shown)

    def end(self) -> None:
        """Nothing more will come: the last block has ended too."""
        self._ended = True

    def changes(self) -> tuple[str, str | None, str]:
        """New text, the HTML of blocks that have ended (None: of none), and the growing rest."""
        raw = self._held + "".join(self._new)
        self._new.clear()
        found = None if self._ended else _ESCAPE.search(raw)
        self._held = found[0] if found is not None else ""
        new = clean(raw.removesuffix(self._held))
        done = self._blocks.take() + (self._blocks.rest() if self._ended else "")
        self.text += new
        if not done.strip():
            self.tail += new
            return new, None, ""
        begun = time.perf_counter()
        html = model_html(as_markdown(done), live=self._spent < DRAWING_S)
        self._spent += time.perf_counter() - begun
        self.html += html
        self.tail = clean(self._blocks.tail)
        return new, html, self.tail

    @property
    def cut(self) -> int:
        """How many characters the whole has, where not all of it is shown; else 0."""
        return self.size if self.size > MOST_SHOWN else 0


class Feed:
    """The board and the texts of a run, and what the browser does not know yet of them."""

    def __init__(self) -> None:
        self.board = Board()
        self.votes: Sequence[tuple[str, str]] = ()  # the user's own, as (member, vote)
        self.clicked = False  # whether a click has begun it, and no cell waits for it
        self._streams = [Stream()]
        self._reset: list[int] = []
        self._grown: set[int] = set()
        self._lock = Lock()  # a page that is loaded again asks for a snapshot from another thread
        self._told: tuple[object, ...] = (None,) * len(_STATE)
        self._number = 0
        self._heard = time.monotonic()

    def take(self, event: Event) -> None:
        """Note what happened."""
        self.board.take(event)
        self._heard = time.monotonic()
        match event:
            case events.MemberDelta(member=member, text=text):
                self._feed(self._place(member), text)
            case events.SynthesisDelta(text=text):
                self._feed(FUSED, text)
            case events.RunPlanned():
                self._streams += [Stream() for _ in event.members]
            case events.JudgeStarted(task="writing"):
                self._restart(FUSED)
            case events.MemberFinished() | events.MemberFailed() | events.MemberLate():
                self._whole(self._place(event.answer.member), event.answer.text)
            case events.RunFinished(result=result):
                self.finish(result)

    def finish(self, result: FusionResult) -> None:
        """Take over the whole result."""
        self.board.finish(result)
        self._streams += [Stream() for _ in result.answers[len(self._streams) - 1 :]]
        self._whole(FUSED, result.text)
        for answer in result.answers:
            self._whole(self._place(answer.member), answer.text)

    def changes(self) -> dict[str, object] | None:
        """What is new since the last call, as JSON holds it; None where nothing is."""
        with self._lock:
            return self._changes()

    def _changes(self) -> dict[str, object] | None:
        board = self.board
        message: dict[str, object] = {}
        if self._reset:
            message["reset"], self._reset = self._reset, []
        texts: list[list[object]] = []
        for number in sorted(self._grown):
            new, html, tail = self._streams[number].changes()
            count = board.members[number - 1].characters if number else 0
            texts.append([number, count, new] if html is None else [number, count, new, html, tail])
        self._grown.clear()
        if texts:
            message["texts"] = texts
        now = self._state()
        for name, value, told in zip(_STATE, now, self._told, strict=True):
            if value != told:
                message[name] = value
        self._told = now
        if not message:
            return None
        self._number += 1
        return message | {"at": round(board.at, 3), "number": self._number}

    def snapshot(self) -> dict[str, object]:
        """All of it at once, for a view that begins now."""
        with self._lock:
            state = dict(zip(_STATE, self._state(), strict=True))
            texts = [
                [number, 0, stream.text, stream.html, stream.tail]
                for number, stream in enumerate(self._streams)
            ]
            since = 0.0 if self.board.result is not None else time.monotonic() - self._heard
            about = {"at": round(self.board.at + since, 3), "number": self._number}
            return {**state, **about, "texts": texts}

    def _state(self) -> tuple[object, ...]:
        board = self.board
        result = board.result
        return (
            board.status,
            board.mode,
            board.judge,
            [_row(member) for member in board.members],
            [_lane(work) for work in board.work],
            [stream.cut for stream in self._streams],
            None if result is None else sheet(result),
            [list(vote) for vote in self.votes],
            self.clicked,
        )

    def _place(self, member: str) -> int:
        names = [one.name for one in self.board.members]
        return names.index(member) + 1

    def _feed(self, number: int, text: str) -> None:
        self._grown.add(number)
        self._streams[number].feed(text)

    def _restart(self, number: int) -> None:
        self._streams[number] = Stream()
        self._reset.append(number)
        self._grown.discard(number)

    def _whole(self, number: int, text: str) -> None:
        """The text has ended, and is this: sent again only where it is not what was streamed."""
        if self._streams[number].size != len(text):
            if self._streams[number].size:
                self._restart(number)
            self._feed(number, text)
        self._streams[number].end()
        self._grown.add(number)


_STATE = ("status", "mode", "judge", "members", "work", "cut", "result", "votes", "clicked")


def _row(member: Member) -> dict[str, object]:
    """A member as JSON; what grows with each token is left to the browser to count."""
    return {
        "name": member.name,
        "spec": member.spec,
        "state": member.state,
        "begun": round(member.begun, 3),
        "first": None if member.first is None else round(member.first, 3),
        "end": None if member.end is None else round(member.end, 3),
        "tokens": member.tokens,
        "paid": None if member.paid is None else float(member.paid),
        "reading": None if member.reading is None else float(member.reading),
        "writing": None if member.writing is None else float(member.writing),
        "says": clean(member.says),
        "earlier": member.earlier,
    }


def _lane(work: Work) -> list[object]:
    end = None if work.end is None else round(work.end, 3)
    return [work.name, work.task, round(work.begun, 3), end, work.failed]
