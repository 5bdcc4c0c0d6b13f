"""`nbfuse ask`: a question to a pool, and the fused answer."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

from nbfuse.api import stream
from nbfuse.cli_print import print_result
from nbfuse.core.errors import NoAnswerError
from nbfuse.core.events import (
    JudgeStarted,
    MemberFailed,
    MemberFinished,
    RunFinished,
    RunPlanned,
)
from nbfuse.core.pool import Pool
from nbfuse.core.request import Request
from nbfuse.core.types import FusionResult, to_json
from nbfuse.fusion.engine import announcement
from nbfuse.fusion.plan import make_plan
from nbfuse.options import add_run_options, pool_of, tape_of
from nbfuse.report import plan_text, pool_line

OK, INTERRUPTED = 0, 130


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the question and the options of a run."""
    parser.add_argument("prompt", help="the question; - reads it from standard input")
    add_run_options(parser)
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")


def run(options: argparse.Namespace) -> int:
    """Ask and print; raises what `nbfuse.stream` raises."""
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    tape = tape_of(options)
    replay = tape["replay"]
    pool, reason = pool_of(options, recorded=replay.pool_for(prompt) if replay else None)
    if options.dry_run:
        request = Request(prompt, pool, images=options.image, schema=options.schema)
        plan = asyncio.run(make_plan(request))
        print(to_json(announcement(plan)) if options.json else plan_text(plan))
        return OK
    if reason != "as asked":
        print(pool_line(pool, reason), file=sys.stderr)

    try:
        asked = _listen(prompt, pool, images=options.image, schema=options.schema, **tape)
        result = asyncio.run(asked)
    except NoAnswerError as error:
        if options.json:
            print(to_json(error.result))
        raise
    if result is None:
        raise KeyboardInterrupt
    if options.json:
        print(to_json(result))
    else:
        print_result(result)
    if result.status == "stopped":
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    return OK


async def _listen(prompt: str, pool: Pool, **further: Any) -> FusionResult | None:
    """The result, also of a run that Ctrl-C has ended; one line tells how far it is."""
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # on Windows Ctrl-C simply ends it
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    result: FusionResult | None = None
    ended, members = 0, 0
    with _progress() as say:
        async with aclosing(stream(prompt, pool, stop=stop, **further)) as events:
            async for event in events:
                match event:
                    case RunPlanned(members=names):
                        members = len(names)
                        say(f"asking {', '.join(names)}")
                    case MemberFinished() | MemberFailed():
                        ended += 1
                        say(f"{ended} of {members} have answered")
                    case JudgeStarted(judge=judge, task=task):
                        say(f"{judge}: {task}")
                    case RunFinished():
                        result = event.result
    return result


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("planning") as status:
        yield lambda text: status.update(escape(text))
