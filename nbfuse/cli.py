"""The command line: `nbfuse demo`, `ask`, `eval`, `models`, `history`, `votes`, `doctor`.

Exit codes: 0 done, 1 no answer or something missing, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from nbfuse import cli_eval, cli_votes
from nbfuse._version import __version__
from nbfuse.api import stream
from nbfuse.core.errors import ConfigError, NbfuseError, NoAnswerError, PromptError
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
from nbfuse.ledger.ledger import Ledger
from nbfuse.options import HelpShown, Parser, add_history_options, add_run_options, pool_of, tape_of
from nbfuse.report import (
    HISTORY_HEADS,
    LOCAL_HEADS,
    MODEL_HEADS,
    cleared,
    fit_rows,
    history_row,
    known_models,
    local_rows,
    model_row,
    past_runs,
    plan_text,
    pool_line,
)

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for file in (sys.stdin, sys.stdout, sys.stderr):  # an ASCII terminal is no reason to fail
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="replace")
    try:
        options = parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        code = command(options)
        sys.stdout.flush()
        return code
    except HelpShown:
        return OK
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except NbfuseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return MISUSED if isinstance(error, ConfigError | PromptError) else FAILED
    except OSError as error:  # a full disk behind the output, a folder that is gone
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"The system refused: {error}", file=sys.stderr)
        return FAILED


def parser() -> Parser:
    """The commands and their options."""
    made = Parser(prog="nbfuse", description="Fuse the answers of several language models.")
    made.add_argument("--version", action="version", version=f"nbfuse {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def add(name: str, run: Callable[[argparse.Namespace], int], what: str) -> Parser:
        command = commands.add_parser(name, help=what, description=what, allow_abbrev=False)
        command.set_defaults(command=run)
        return command

    demo = add("demo", _demo, "run the quickstart notebook on the tiny models, offline")
    demo.add_argument("--out", metavar="FILE", help="where the executed notebook goes")
    ask = add("ask", _ask, "ask a pool and print the fused answer")
    ask.add_argument("prompt", help="the question; - reads it from standard input")
    add_run_options(ask)
    ask.add_argument("--json", action="store_true", help="print the whole result as JSON")
    cli_eval.add_options(add("eval", cli_eval.run, "say whether fusing pays on your own questions"))
    pull = add("pull", _pull, "fetch the weights of a local model")
    pull.add_argument(
        "model",
        help="local:NAME, local:NAME:QUANTISATION, hf:owner/repo/file.gguf or hf:owner/repo",
    )
    pull.add_argument("--vision", action="store_true", help="with its part for pictures")
    models = add("models", _models, "list the models that can be asked")
    models.add_argument("search", nargs="?", default="", help="only those with this word")
    models.add_argument("--local", action="store_true", help="those that run on this machine")
    models.add_argument("--json", action="store_true", help="print them as JSON")
    history = add("history", _history, "earlier runs: find them, see them again, forget them")
    add_history_options(history)
    history.add_argument("--json", action="store_true", help="print them as JSON")
    votes = functools.partial(cli_votes.run, show=_show)
    cli_votes.add_options(add("votes", votes, "your votes on models and pools, and a folder's"))
    doctor = add("doctor", _doctor, "say what is installed, what works, and how to mend the rest")
    doctor.add_argument("--fit", metavar="MODEL", help="how a local model fits into memory")
    doctor.add_argument("--json", action="store_true", help="print it as JSON")
    return made


def _demo(options: argparse.Namespace) -> int:
    from nbfuse import demo

    return OK if demo.run(options.out) else FAILED


def _ask(options: argparse.Namespace) -> int:
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
        _print_result(result)
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


def _print_result(result: FusionResult) -> None:
    """The answer on standard output; why and for how much beside it, on standard error."""
    from nbfuse.core.clean import clean
    from nbfuse.render.fields import FIELD_HEADS, as_markdown, field_rows
    from nbfuse.render.table import HEADS, rows, sureness
    from nbfuse.render.text import summary

    why = f"{clean(result.verdict.reason)} {sureness(result.verdict)}"
    notes = [clean(note) for note in result.notes]
    if not sys.stdout.isatty():
        print(clean(result.text))
        print("\n".join([why, *notes, summary(result)]), file=sys.stderr)
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console()
    answer = Markdown(as_markdown(clean(result.text)))
    console.print(Panel(answer, title="Fused answer", title_align="left"))
    console.print("\n".join([why, *notes]), style="dim", markup=False)
    for heads, body in ((FIELD_HEADS, field_rows(result)), (HEADS, rows(result))):
        table = Table(*heads, box=None, header_style="bold")
        for row in body:
            table.add_row(*map(Text, row))
        if body:
            console.print(table)


def _pull(options: argparse.Namespace) -> int:
    from nbfuse.local.download import pull

    print(pull(options.model, lambda text: print(text, file=sys.stderr), options.vision))
    return OK


def _models(options: argparse.Namespace) -> int:
    if options.local:
        return _show(LOCAL_HEADS, local_rows(options.search), options.json)
    found, troubles = asyncio.run(known_models(options.search))
    if options.json:
        print(to_json([{"spec": spec, "info": info} for spec, info in found]))
    else:
        _print_table(MODEL_HEADS, [model_row(spec, info) for spec, info in found])
    print("\n".join(troubles), file=sys.stderr)
    return OK if found else FAILED


def _history(options: argparse.Namespace) -> int:
    if options.clear:
        print(cleared(options))
        return OK
    if options.show is not None:
        result = Ledger().load(options.show)
        print(to_json(result)) if options.json else _print_result(result)
        return OK
    found = past_runs(options)
    if options.json:
        print(to_json(found))
    else:
        _print_table(HISTORY_HEADS, [history_row(run) for run in found])
    return OK if found else FAILED


def _doctor(options: argparse.Namespace) -> int:
    if options.fit is not None:
        return _show(*fit_rows(options.fit.removeprefix("local:")), options.json)
    from nbfuse.doctor import examine

    findings = examine()
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        rows = [("ok" if f.ok else "missing", f.what, f.found, f.fix) for f in findings]
        _print_table(("state", "what", "found", "to mend it"), rows)
    return OK if all(finding.ok for finding in findings if finding.needed) else FAILED


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool) -> int:
    if as_json:
        print(to_json([dict(zip(heads, row, strict=True)) for row in rows]))
    else:
        _print_table(heads, rows)
    return OK if rows else FAILED


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():
        for row in (heads, *rows):
            print("\t".join(row).rstrip())
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = (Column(head, overflow="fold") for head in heads)  # a remedy is there to be copied
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
