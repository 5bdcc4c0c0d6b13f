"""Writes a run into the ledger while it happens: one more reader of its events."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from queue import SimpleQueue

import msgspec

from nbfuse.core.errors import LedgerError
from nbfuse.core.events import (
    Event,
    MemberFailed,
    MemberFinished,
    MemberLate,
    RunFinished,
    RunPlanned,
)
from nbfuse.core.threads import off_loop
from nbfuse.ledger.ledger import Ledger


async def recorded(
    events: AsyncGenerator[Event], ledger: Ledger, days: int | None
) -> AsyncGenerator[Event]:
    """Yield `events` as they are, each finished answer being kept on the way.

    Runs older than `days` are forgotten, where that is not None. Where the ledger can't be written,
    the result says so in a note, and nothing else happens.
    """
    writer = _Writer()
    members: tuple[str, ...] = ()
    try:
        async with aclosing(events):
            async for event in events:
                match event:
                    case RunPlanned():
                        members = event.members
                        writer.put(partial(ledger.begin, event))
                    case MemberFinished() | MemberFailed() | MemberLate():
                        place = members.index(event.member)
                        writer.put(partial(ledger.keep, event.run, place, event.answer))
                    case RunFinished():
                        writer.put(partial(ledger.end, event.result), whole=True)
                        if days is not None:
                            writer.put(partial(ledger.clear, days))
                        if trouble := await writer.end():
                            event = _with_note(event, trouble)
                yield event
    finally:
        writer.close()


def _with_note(event: RunFinished, note: str) -> RunFinished:
    result = msgspec.structs.replace(event.result, notes=(*event.result.notes, note))
    return msgspec.structs.replace(event, result=result)


class _Writer:
    """A thread that writes in order: a slow disk holds up no answer, an interrupt no writing."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], object], bool] | None] = SimpleQueue()
        self._trouble = ""
        self._thread = threading.Thread(target=self._write, name="nbfuse-ledger", daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], object], whole: bool = False) -> None:
        """Have it written; what is `whole` takes the place of all before it."""
        self._work.put((work, whole))

    async def end(self) -> str:
        """Wait until all is written; what went wrong, in one line."""
        self.close()
        await off_loop(self._thread.join)
        return self._trouble

    def close(self) -> None:
        """Take no more, and end when all is written."""
        self._work.put(None)

    def _write(self) -> None:
        undone: list[Callable[[], object]] = []  # tried again with what comes next
        open_ = True
        while open_:
            arrived = [self._work.get()]
            while not self._work.empty():  # together, so that a locked file is waited for once
                arrived.append(self._work.get())
            for item in arrived:
                if item is None:
                    open_ = False
                    continue
                work, whole = item
                undone = [work] if whole else [*undone, work]
            try:
                while undone:
                    undone[0]()
                    del undone[0]
                self._trouble = ""
            except LedgerError as error:
                self._trouble = f"This run is not in the history. {error.message} {error.hint}"
            except Exception as error:  # our own mistake: nothing else may come of it
                self._trouble = f"This run is not in the history ({type(error).__name__}: {error})."
