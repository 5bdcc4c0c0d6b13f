"""The live view: one widget that stands over the saved form of its run.

The cell's output is static HTML at any time, so that a notebook never holds a widget that nothing
can draw; the widget's script puts the view in its place while this kernel lives. Only front ends
that load no widget which is not displayed get it in the output as well, as long as the run lasts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import traitlets

from nbfuse.core.events import Event
from nbfuse.core.types import FusionResult
from nbfuse.notebook.feed import Feed
from nbfuse.notebook.grafted import Grafted, files
from nbfuse.notebook.runner import runner
from nbfuse.notebook.saved import bundle
from nbfuse.render.model import root

# So long a browser may need for the script, and what it is sent before that is lost: all of it is
# sent again, so often
YOUNG_S, AGAIN_S = 2.0, 0.1
ASKING = "nbfuse: asking …"


class LiveView(Grafted):
    """A run while it happens, and afterwards what can still be done with it.

    `hear` is called with what the user asks for by a click, in any thread.
    """

    _esm = files("js", "dom", "graft", "store", "quotes", "compare", "timeline", "view", "live")
    _css = files("css", "shared", "live")
    snapshot = traitlets.Any().tag(sync=True, to_json=lambda _, me: me.feed.snapshot())

    def __init__(self, hear: Callable[[LiveView, Mapping[str, object]], None]) -> None:
        self.feed = Feed()
        self.busy = False  # with a further judging, which is paid
        self.stop = asyncio.Event()
        self.skip: asyncio.Queue[str] = asyncio.Queue()
        self._begun, self._told = time.monotonic(), 0.0
        super().__init__()
        self.on_msg(lambda _me, content, _buffers: self._hear(hear, content))

    @property
    def result(self) -> FusionResult | None:
        """What the run came to."""
        return self.feed.board.result

    def begin(self) -> None:
        """Show the view in the cell that runs."""
        html = f'<div class="{root(self.view)}"><p>{ASKING}</p></div>'
        self.handle.display(self.with_widget({"text/plain": ASKING, "text/html": html}), raw=True)

    def show(self, result: FusionResult) -> None:
        """Show a result that is there already, in the cell that runs."""
        if self.result is None:
            self.feed.finish(result)
            self.tell()
        data, metadata = bundle(result, self.view)
        self.handle.display(data, metadata=metadata, raw=True)

    def take(self, event: Event) -> None:
        """Note what happened; nothing is sent yet."""
        self.feed.take(event)

    def tell(self) -> None:
        """Send what is new; as often as it is called, which is some twelve times a second."""
        now = time.monotonic()
        if now - self._begun < YOUNG_S:
            if now - self._told > AGAIN_S and self.feed.changes() is not None:
                self.send_state("snapshot")
                self._told = now
        elif (changes := self.feed.changes()) is not None:
            self.send(changes)

    def finish(self, result: FusionResult) -> bool:
        """The run has ended: the output becomes its saved form, over which the view stays."""
        if self.result is not result:
            self.feed.finish(result)
        self._told = 0.0  # the last message waits for no other
        self.tell()
        data, metadata = bundle(result, self.view)
        self.handle.update(data, metadata=metadata, raw=True)
        return True

    def clear(self) -> None:
        """Leave nothing: the run ended before it had begun."""
        self.handle.update({"text/plain": ""}, raw=True)
        self.close()

    def restart(self, feed: Feed) -> None:
        """Show another run in place of this one."""
        self.feed = feed
        self.feed.changes()
        self.send_state("snapshot")

    def say(self, notice: str) -> None:
        """Tell the user something in the view's status line."""
        self.send({"notice": notice})

    def _hear(
        self, hear: Callable[[LiveView, Mapping[str, object]], None], ask: Mapping[str, object]
    ) -> None:
        match ask:
            case {"hello": _}:
                self.send_state("snapshot")
            case {"stop": _}:
                runner.soon(self.stop.set)
            case {"skip": str(member)}:
                runner.soon(lambda: self.skip.put_nowait(member))
            case _:
                hear(self, ask)
