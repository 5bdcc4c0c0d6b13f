"""The command line: `nbfuse demo`, `ask`, `eval`, `compare`, `history` and others.

Exit codes: 0 done, 1 no answer or something missing, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Sequence

from nbfuse import cli_ask, cli_bookmarks, cli_compare, cli_eval, cli_votes
from nbfuse._version import __version__
from nbfuse.cli_print import print_result, print_table, show
from nbfuse.core.errors import ConfigError, NbfuseError, PromptError
from nbfuse.core.types import to_json
from nbfuse.ledger.ledger import Ledger
from nbfuse.options import HelpShown, Parser, add_history_options
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
    cli_ask.add_options(add("ask", cli_ask.run, "ask a pool and print the fused answer"))
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
    cli_compare.add_options(
        add("compare", cli_compare.run, "which of two to four to ship, on your own questions")
    )
    cli_bookmarks.add_options(
        add("bookmarks", cli_bookmarks.run, "comparisons and runs that you kept")
    )
    cli_votes.add_options(
        add("votes", cli_votes.run, "your votes on models and pools, and a folder's")
    )
    doctor = add("doctor", _doctor, "say what is installed, what works, and how to mend the rest")
    doctor.add_argument("--fit", metavar="MODEL", help="how a local model fits into memory")
    doctor.add_argument("--json", action="store_true", help="print it as JSON")
    return made


def _demo(options: argparse.Namespace) -> int:
    from nbfuse import demo

    return OK if demo.run(options.out) else FAILED


def _pull(options: argparse.Namespace) -> int:
    from nbfuse.local.download import pull

    print(pull(options.model, lambda text: print(text, file=sys.stderr), options.vision))
    return OK


def _models(options: argparse.Namespace) -> int:
    if options.local:
        return show(LOCAL_HEADS, local_rows(options.search), options.json)
    found, troubles = asyncio.run(known_models(options.search))
    if options.json:
        print(to_json([{"spec": spec, "info": info} for spec, info in found]))
    else:
        print_table(MODEL_HEADS, [model_row(spec, info) for spec, info in found])
    print("\n".join(troubles), file=sys.stderr)
    return OK if found else FAILED


def _history(options: argparse.Namespace) -> int:
    if options.clear:
        print(cleared(options))
        return OK
    if options.show is not None:
        result = Ledger().load(options.show)
        print(to_json(result)) if options.json else print_result(result)
        return OK
    found = past_runs(options)
    if options.json:
        print(to_json(found))
    else:
        print_table(HISTORY_HEADS, [history_row(run) for run in found])
    return OK if found else FAILED


def _doctor(options: argparse.Namespace) -> int:
    if options.fit is not None:
        return show(*fit_rows(options.fit.removeprefix("local:")), options.json)
    from nbfuse.doctor import examine

    findings = examine()
    if options.json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        rows = [("ok" if f.ok else "missing", f.what, f.found, f.fix) for f in findings]
        print_table(("state", "what", "found", "to mend it"), rows)
    return OK if all(finding.ok for finding in findings if finding.needed) else FAILED
