"""Runs fusions in the cells of one shell, shows them, and keeps the last result at hand."""

from __future__ import annotations

import asyncio
import sys
import time
import typing
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from nbfuse.core.errors import NoAnswerError, Stopped
from nbfuse.core.events import Event, RunFinished
from nbfuse.core.types import FusionResult
from nbfuse.notebook.runner import interrupts_call, runner
from nbfuse.notebook.saved import bundle, can_update, knows_widgets

if typing.TYPE_CHECKING:
    from nbfuse.comparison.comparison import Comparison
    from nbfuse.notebook.live import LiveView

STOP_S = 2.0  # for the streams to close after an interrupt; they need some 20 ms
MOST_VIEWS = 12  # that can still be clicked; each holds its run in the browser too


class View(Protocol):
    """What shows a run while it happens. All is called in the main thread."""

    def take(self, event: Event) -> None:
        """Note what happened."""

    def tell(self) -> None:
        """Show what is new."""

    def finish(self, result: FusionResult) -> bool:
        """The run has ended; whether its result now is on the screen."""

    def clear(self) -> None:
        """Leave nothing: the run ended before it had begun."""


class Session:
    """The runs of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.live = True
        self.last: FusionResult | None = None
        self.compared: Comparison | None = None  # if it is later than the last result
        self.on_screen: object = None
        self._views: deque[LiveView] = deque()

    def run(
        self,
        events: Callable[..., AsyncGenerator[Event]],
        out: str | None,
        quiet: bool,
        strict: bool = False,
    ) -> FusionResult | None:
        """The result of a run, which is shown while it happens; raises what the run raises.

        `events` takes `stop` and `skip`, as `nbfuse.stream` does. Raises `Stopped`, and where
        nobody answers `NoAnswerError` only if it is `strict`: the result says why, and cells that
        follow may do without.
        """
        view: View | None = None
        heard: deque[Event] = deque()  # filled by the loop's thread, emptied by this one
        stop, skip = asyncio.Event(), asyncio.Queue[str]()
        drawn, raising = not quiet, True

        def tick() -> None:
            nonlocal view, drawn
            if pressed and time.monotonic() - pressed[0] > STOP_S:
                raise KeyboardInterrupt
            try:
                if view is None and heard and drawn:  # it loads for long: the requests go first
                    view = self._view(stop, skip)
                if view is not None:
                    _give(heard, view)
                    view.tell()
                else:
                    heard.clear()
            except Exception as error:  # no answer may be lost because it can't be drawn
                view, drawn = None, False
                _tell_broken(error)

        results: list[FusionResult] = []  # filled before the run raises, so that nothing is lost
        with interrupts_call(lambda: runner.soon(stop.set)) as pressed:
            try:
                runner.run(_listen(events(stop=stop, skip=skip), heard, results), tick)
            except KeyboardInterrupt:
                pass  # it was told to stop and did not
            except NoAnswerError:
                if strict:
                    raise
                raising = False
            finally:
                result = results[0] if results else None
                self._keep(result, out)
                on_screen = self._finish(view, heard, result) or quiet
                if raising and result and result.status != "complete" and not on_screen:
                    self.show(result)  # an error follows, and what has arrived is worth seeing
                self.on_screen = result if on_screen else None
        if pressed:
            raise Stopped(result)
        return result

    def show(self, result: FusionResult) -> None:
        """Show a result, unless the view of its own run has just become it."""
        on_screen, self.on_screen = self.on_screen, None
        if result is on_screen:
            return
        if self.live and can_update(self.shell) and knows_widgets():
            try:
                self._view_of(result).show(result)
            except Exception as error:
                _tell_broken(error)
            else:
                return
        data, metadata = bundle(result)
        display(data, metadata=metadata, raw=True)

    def show_comparison(self, found: Comparison) -> None:
        """Show a comparison, unless the cell that made it has just done so."""
        from nbfuse.notebook.comparing import forms

        on_screen, self.on_screen = self.on_screen, None
        if found is not on_screen:
            display(forms(found), raw=True)

    def refer_to(self, shown: object) -> None:
        """What was shown again is what commands without a name are about."""
        if isinstance(shown, FusionResult):
            self.last, self.compared = shown, None
        elif shown is not None and type(shown).__name__ == "Comparison":
            self.compared = typing.cast("Comparison", shown)

    def _finish(self, view: View | None, heard: deque[Event], result: FusionResult | None) -> bool:
        """The run has ended; whether its result is on the screen."""
        if view is None:
            return False
        if result is None:
            view.clear()
            return False
        try:
            _give(heard, view)  # what came since the last look, so that no text is sent twice
            return view.finish(result)
        except Exception as error:
            _tell_broken(error)
            return False

    def forget_screen(self, _info: object) -> None:
        """A new cell begins: what the last one showed is to be shown again when asked for."""
        self.on_screen = None

    def _keep(self, result: FusionResult | None, out: str | None) -> None:
        """Bind the result where the user looks for it, after an interrupt or an error too."""
        if result is None:
            return
        self.last, self.compared = result, None
        if out is not None:
            self.shell.user_ns[out] = result
        if result.status != "complete":  # no value will reach the display hook
            self.shell.displayhook.update_user_ns(result)

    def _view(self, stop: asyncio.Event, skip: asyncio.Queue[str]) -> View | None:
        if not self.live:
            return None
        if can_update(self.shell) and knows_widgets():
            view = self._new_view()
            view.stop, view.skip = stop, skip
            view.begin()
            return view
        if not hasattr(self.shell, "kernel") and sys.stdout.isatty():
            from nbfuse.notebook.terminal import TerminalView

            return TerminalView()
        return None

    def _view_of(self, result: FusionResult) -> LiveView:
        from nbfuse.notebook.clicks import votes_of

        for view in self._views:
            if view.result is not None and view.result.run == result.run:
                return view
        view = self._new_view()
        view.feed.votes = votes_of(result)
        return view

    def _new_view(self) -> LiveView:
        from nbfuse.notebook.clicks import hear
        from nbfuse.notebook.live import LiveView  # anywidget takes half a second

        ended = [view for view in self._views if view.result is not None]
        for old in ended[: max(0, len(self._views) + 1 - MOST_VIEWS)]:
            self._views.remove(old)
            old.close()
        view = LiveView(lambda view, ask: hear(self, view, ask))
        self._views.append(view)
        return view


def _give(heard: deque[Event], view: View) -> None:
    while heard:
        view.take(heard.popleft())


def _tell_broken(error: Exception) -> None:
    """Our own mistake, or an installation that lacks something: the answer comes without a view."""
    print(f"nbfuse: the live view does not work here ({type(error).__name__}: {error}).")


async def _listen(
    events: AsyncGenerator[Event], heard: deque[Event], results: list[FusionResult]
) -> None:
    async with aclosing(events):
        async for event in events:
            heard.append(event)
            if isinstance(event, RunFinished):
                results.append(event.result)
