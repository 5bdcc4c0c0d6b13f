"""The order of a recorded run, kept to the letter while the run is made again.

Times alone would not do: a timer that fired a millisecond late, or two answers that came in one
turn of the event loop, and another member would be left behind. So the log of what happened leads.
What came from outside (a chunk, an end) comes when its place in the log is reached; where the log
goes on with what the run itself did (a call begun, one cancelled), the run is left to do it, and
time may pass for it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable
from typing import NamedTuple

from nbfuse.core.virtual import VirtualLoop
from nbfuse.providers.recording import HOPS, Moment, TakenRun

SLACK_S = 0.1  # by which a timer may be early or late, against then: a loop that is busy
ALMOST = 0.999


class Note(NamedTuple):
    """A moment; `own` tells that the run itself did something then."""

    when: Moment
    own: bool


def notes_of(taken: TakenRun) -> list[Note]:
    """All moments of a recorded run that matter to it, in their order."""
    notes = [Note(told.when, False) for told in taken.told.values()]
    notes += [Note(skip.when, False) for skip in taken.skips]
    notes += [Note(look, True) for look in taken.looks]
    for call in taken.calls:
        notes += [Note(call.begun, True), Note(call.ended, call.how == "cancelled")]
        notes += [Note(heard.when, False) for heard in call.heard]
    if taken.ended is not None and taken.ended.status == "stopped":
        notes.append(Note(taken.ended.when, False))
    return sorted(notes, key=lambda note: note.when.seq)


class Score:
    """The notes of a recorded run, for a `VirtualLoop` in which it is made again."""

    def __init__(self, loop: VirtualLoop, notes: Iterable[Note]) -> None:
        self._loop, self._notes = loop, list(notes)
        self._place, self._turn = 0, 0
        self._done: set[int] = set()  # numbers of moments
        # a heap; the second number parts those who wait for the same moment
        self._waiting: list[tuple[int, int, Moment, asyncio.Future[None]]] = []
        self._waited = itertools.count()
        self._released: set[int] = set()  # whose moment has come, and who have not gone on yet
        self._quiet = HOPS  # turns since somebody was released
        self.loose = False  # the run ends otherwise than it did: nobody who is cancelled waits
        loop.cue = self._idle

    def did(self, moment: Moment) -> None:
        """The run has done what it did at that moment."""
        self._done.add(moment.seq)

    async def until(self, moment: Moment) -> None:
        """Return at that moment, after all that came before it."""
        if moment.seq in self._done:
            return
        if self._is_due(moment) and min(self._released, default=moment.seq) >= moment.seq:
            self._done.add(moment.seq)
            return
        entry = (moment.seq, next(self._waited), moment, self._loop.create_future())
        heapq.heappush(self._waiting, entry)
        try:
            await entry[3]
        finally:
            self._released.discard(moment.seq)
            if entry in self._waiting:  # it was cancelled
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)

    async def cancelled(self, moment: Moment) -> None:
        """Return where a call was seen to be cancelled: what had come by then comes first."""
        if not self.loose:
            await self.until(moment)
        self._done.add(moment.seq)

    def _head(self) -> Note | None:
        """The first note that has not been played."""
        while self._place < len(self._notes):
            note = self._notes[self._place]
            if note.when.seq not in self._done:
                return note
            self._place += 1
        return None

    def _is_due(self, moment: Moment) -> bool:
        head = self._head()
        return head is not None and head.when == moment and moment.turn <= self._turn

    def _comes(self, seq: int, _: int, moment: Moment) -> bool:
        """Whether a moment is due, or has come for another who waited for it."""
        return seq in self._done or self._is_due(moment)

    def _idle(self, timer_s: float | None) -> float | None:
        """Nothing is left to do for now; `timer_s` is when a timer of the run will fire.

        Return 0 where somebody was released, seconds to wait for somebody at original speed, and
        None where the timer is to fire.
        """
        clock = self._loop.clock
        while (head := self._head()) is not None:
            wanted = self._waiting[0][2] if self._waiting else None
            ahead = head.when.at - clock.now()
            if wanted == head.when:
                if timer_s is not None and timer_s < ahead - SLACK_S:
                    return None  # it fired then, and nothing came of it
                if self._loop.real and ahead > 0:
                    return ahead
                if ahead > 0 and not clock.held:  # the timer must not fire before the log says so
                    clock.jump(ahead if timer_s is None else min(ahead, timer_s * ALMOST))
                self._turn, self._quiet = max(self._turn, head.when.turn), 0
                self._release()
                return 0.0
            if head.own and clock.held and not self._loop.real:
                return None  # what is outside, such as a tool, may yet lead to it
            if head.own and timer_s is not None and timer_s <= ahead + SLACK_S:
                return None
            self._done.add(head.when.seq)  # it won't happen this time
        return None

    def _release(self) -> None:
        """Let go of all whose moment it is; count on while the next may follow without a pause."""
        self._quiet += 1
        while self._waiting and self._comes(*self._waiting[0][:3]):
            seq, _, _, future = heapq.heappop(self._waiting)
            self._done.add(seq)
            self._quiet = 0
            if not future.done():
                self._released.add(seq)
                future.set_result(None)
        if self._quiet < HOPS - 1:
            self._loop.call_soon(self._count)

    def _count(self) -> None:
        self._turn += 1
        self._release()
