"""The live view: one widget that stands over the saved form of its run.

The cell's output is static HTML at any time, so that a notebook never holds a widget that nothing
can draw; the widget's script puts the view in its place while this kernel lives. Only front ends
that load no widget which is not displayed get it in the output as well, as long as the run lasts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import anywidget
import traitlets
from IPython.display import DisplayHandle

from nbfuse.core.events import Event
from nbfuse.core.stamp import new_name
from nbfuse.core.types import FusionResult
from nbfuse.notebook.feed import Feed
from nbfuse.notebook.runner import runner
from nbfuse.notebook.saved import bundle
from nbfuse.notebook.session import lazy_front_end

YOUNG_S = 2.0  # so long a browser may need for the script; what it is sent before that is lost
STATIC = Path(__file__).parent / "static"
ASKING = "nbfuse: asking …"


def script(*names: str) -> str:
    """Files of `static` as one module: anywidget takes one, and we need no bundler for that."""
    return "\n".join((STATIC / f"{name}.js").read_text(encoding="utf-8") for name in names)


class LiveView(anywidget.AnyWidget):
    """A run while it happens, and afterwards what can still be done with it.

    `hear` is called with what the user asks for by a click, in any thread.
    """

    _esm = script("dom", "store", "quotes", "compare", "timeline", "view", "live")
    _css = (STATIC / "live.css").read_text(encoding="utf-8")
    view = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Any().tag(sync=True, to_json=lambda _, me: me.feed.snapshot())

    def __init__(self, hear: Callable[[LiveView, Mapping[str, object]], None]) -> None:
        self.feed = Feed()
        self.stop = asyncio.Event()
        self.skip: asyncio.Queue[str] = asyncio.Queue()
        self._begun = time.monotonic()
        self._handle = DisplayHandle()
        super().__init__(view=new_name())
        self.on_msg(lambda _me, content, _buffers: self._hear(hear, content))
        if hasattr(self.comm, "_reply_subshell_for"):
            # ipykernel 7.4 sends a click to the shell that made the widget, which is busy; this
            # has it go where the front end wants it
            self.comm._reply_subshell_for = lambda _data, default: default

    def __repr__(self) -> str:
        return "<LiveView>"

    @property
    def result(self) -> FusionResult | None:
        """What the run came to."""
        return self.feed.board.result

    def begin(self) -> None:
        """Show the view in the cell that runs."""
        html = f'<div class="nbfuse nbfuse-view-{self.view}"><p>{escape(ASKING)}</p></div>'
        own = self._repr_mimebundle_() if lazy_front_end() else None
        widget = own[0] if isinstance(own, tuple) else own or {}
        self._handle.display({**widget, "text/plain": ASKING, "text/html": html}, raw=True)

    def show(self, result: FusionResult) -> None:
        """Show a result that is there already, in the cell that runs."""
        if self.result is None:
            self.feed.finish(result)
            self.tell()
        data, metadata = bundle(result, self.view)
        self._handle.display(data, metadata=metadata, raw=True)

    def take(self, event: Event) -> None:
        """Note what happened; nothing is sent yet."""
        self.feed.take(event)

    def tell(self) -> None:
        """Send what is new; at most 20 times a second, since that is how often it is called."""
        if (changes := self.feed.changes()) is None:
            return
        if time.monotonic() - self._begun < YOUNG_S:
            self.send_state("snapshot")
        else:
            self.send(changes)

    def finish(self, result: FusionResult) -> bool:
        """The run has ended: the output becomes its saved form, over which the view stays."""
        if self.result is not result:
            self.feed.finish(result)
        self.tell()
        data, metadata = bundle(result, self.view)
        self._handle.update(data, metadata=metadata, raw=True)
        return True

    def clear(self) -> None:
        """Leave nothing: the run ended before it had begun."""
        self._handle.update({"text/plain": ""}, raw=True)
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
