"""How far an evaluation is: a bar in a terminal, a line that is written over in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_S = 0.5  # between two lines: a notebook keeps each message

Step = Callable[[str, int, int], None]


@contextmanager
def shown(on: bool) -> Iterator[Step]:
    """A function to call with what is done, how much of it, and of how much; quiet elsewhere."""
    if on and sys.stderr.isatty():
        with _bar() as step:
            yield step
    elif on and "ipykernel" in sys.modules:
        yield from _line()
    else:
        yield lambda _what, _done, _total: None


@contextmanager
def _bar() -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def step(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield step


def _line() -> Iterator[Step]:
    begun, last = time.monotonic(), 0.0

    def step(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TICK_S or done == total:
            last = now
            print(f"\r{what}: {done} of {total}, {now - begun:.0f} s", end="", flush=True)

    yield step
    print("\r" + " " * 60 + "\r", end="", flush=True)
