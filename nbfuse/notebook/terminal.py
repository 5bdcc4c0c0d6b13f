"""A run in a plain terminal: a table that is drawn anew while it happens, and gone afterwards."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nbfuse.core import events
from nbfuse.core.clean import clean
from nbfuse.core.events import Event
from nbfuse.core.types import FusionResult
from nbfuse.render.board import Board
from nbfuse.render.table import price, seconds

LAST_WORDS = 200  # characters of the end of a text, of which the line shows what fits


class TerminalView:
    """One line a member, and one for the judge."""

    def __init__(self) -> None:
        self._board = Board()
        self._ends: dict[str, str] = {}  # the last words of each member, and of the fused answer
        self._live = Live(console=Console(), auto_refresh=False, transient=True)
        self._live.start()

    def take(self, event: Event) -> None:
        """Note what happened."""
        self._board.take(event)
        match event:
            case events.MemberDelta(member=member, text=text):
                self._ends[member] = (self._ends.get(member, "") + text)[-LAST_WORDS:]
            case events.SynthesisDelta(text=text):
                self._ends[""] = (self._ends.get("", "") + text)[-LAST_WORDS:]

    def tell(self) -> None:
        """Draw the table anew."""
        self._live.update(self._table(), refresh=True)

    def finish(self, result: FusionResult) -> bool:  # noqa: ARG002  # the shell prints it
        """Take the table away; the result is still to be shown."""
        self.clear()
        return False

    def clear(self) -> None:
        """Take the table away."""
        self._live.update("", refresh=True)
        self._live.stop()

    def _table(self) -> Table:
        board = self._board
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
        for _ in range(4):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for member in board.members:
            rate = member.rate(board.at)
            took = (board.at if member.end is None else member.end) - member.begun
            table.add_row(
                Text(clean(member.name), style="bold"),
                member.state,
                f"{seconds(took)}{'' if rate is None else f', {rate:.0f} tok/s'}",
                price(member.cost),
                Text(self._last_words(member.name) or clean(member.says), style="dim"),
            )
        table.add_row(Text(board.status, style="bold"), "", "", "", Text(self._last_words("")))
        return table

    def _last_words(self, name: str) -> str:
        return " ".join(clean(self._ends.get(name, "")).split())[-80:]
