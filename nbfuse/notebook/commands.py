"""`%fuse COMMAND`: what can be asked about models and pools, without asking a pool."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence

from IPython.core.getipython import get_ipython
from IPython.display import display

from nbfuse.api import choose, promote
from nbfuse.comparison.exchange import Told, exported, merged, own_votes
from nbfuse.comparison.tally import HEADS, rows
from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.types import FusionResult
from nbfuse.ledger.ledger import Ledger
from nbfuse.notebook.runner import runner
from nbfuse.notebook.saved import can_update, knows_widgets
from nbfuse.notebook.session import Session
from nbfuse.notebook.voting import known, vote
from nbfuse.options import HelpShown, Parser, add_history_options

if typing.TYPE_CHECKING:
    from nbfuse.notebook.marking import Shown

HELP = """\
%%fuse [options]        ask a pool what stands below the line
%fuse --help            the options of such a cell
%fuse models [WORD]     models that can be asked, with context and price
%fuse models --local    those of this machine: size, whether they fit, licence, speed
%fuse fit MODEL         how a local model fits into memory, here and on small machines
%fuse pull MODEL        fetch the weights of a local model (--vision: and its part for pictures)
%fuse pool [NAME]       put a pool together by clicking (--list: the pools by name)
%fuse last              the last result again
%fuse rejudge           judge the last answers again: --judge, --mode; --retry asks who had failed
%fuse promote MEMBER    take a member's answer as the result
%fuse vote up [MEMBER]  what you think of the last answer, or a member's: up, down or best
%fuse vote ship MODEL   whether you would use a model or pool:NAME: ship or skip
%fuse vote blind        two of the last answers, names unseen; then %fuse vote A, B or tie
%fuse votes             your votes, with ratings; merge FOLDER counts everybody's, export FOLDER
%fuse compare A B       which one to ship, on your own questions: --on NAME|FILE, --help
%fuse bookmarks         what you kept: save NAME, search WORD, open NAME, delete NAME
%fuse history [WORD]    earlier runs; --show RUN shows one again, --help tells the rest
%fuse help              this page
"""
COMMANDS = (
    "models",
    "fit",
    "pull",
    "pool",
    "rejudge",
    "promote",
    "vote",
    "votes",
    "compare",
    "bookmarks",
    "history",
    "last",
    "help",
)


def run_command(words: Sequence[str], session: Session, print_options: Callable[[], None]) -> Shown:
    """Print what the command asks for; a result, where it asks for one. Raises an `NbfuseError`."""
    from nbfuse import report

    last = session.last

    match list(words) or ["help"]:
        case ["--help" | "-h"]:
            print_options()
        case ["help"]:
            print(HELP)
        case ["pull", spec] | ["pull", spec, "--vision"] | ["pull", "--vision", spec]:
            from nbfuse.local.download import pull

            print(f"It is in {pull(spec, print, '--vision' in words)}")
        case ["fit", spec]:
            heads, rows = report.fit_rows(spec.removeprefix("local:"))
            _print_columns([heads, *rows])
        case ["models", "--local", *search]:
            _print_columns([report.LOCAL_HEADS, *report.local_rows(" ".join(search))])
        case ["models", *search]:
            found, troubles = runner.run(report.known_models(" ".join(search)))
            _print_columns([report.MODEL_HEADS, *(report.model_row(*one) for one in found)])
            print("\n".join(troubles))
        case ["pool", *name] if len(name) < 2 and name != ["--list"]:
            _show_pool(*name)
        case ["pool", "--list"]:
            print(report.pools_text())
        case ["history", *rest]:
            return _history(rest)
        case ["vote", *rest]:
            vote(rest, last, session.compared)
        case ["bookmarks", *rest]:
            from nbfuse.notebook.marking import bookmarks

            return bookmarks(rest, session.compared or last, _print_columns)
        case ["votes"]:
            _show_votes(own_votes())
        case ["votes", "merge", folder]:
            _show_votes(merged(folder))
        case ["votes", "export", folder] | ["votes", "export", folder, "--prompts"]:
            print(exported(folder, prompts="--prompts" in words))
        case ["votes", *_]:
            raise ConfigError("%fuse votes takes merge FOLDER or export FOLDER.", "Or nothing.")
        case ["promote", member]:
            return promote(known(last), member)
        case ["last"]:
            return known(last)
        case ["pool" | "last" | "help" as word, *rest]:
            raise ConfigError(f"%fuse {word} takes no {' '.join(rest)!r}.", f"Try: %fuse {word}")
        case ["pull" | "fit" as word, *_]:
            raise ConfigError(
                f"%fuse {word} takes one model.", f"Try: %fuse {word} local:ministral-3b"
            )
        case ["promote", *_]:
            raise ConfigError("%fuse promote takes one member.", "Try: %fuse promote NAME")
        case [word, *rest]:
            hint = "A question goes into a cell that begins with %%fuse."
            if not rest:
                hint = f"{did_you_mean(word, COMMANDS)} {hint}"
            raise ConfigError(f"%fuse has no command {word!r}.", hint)
    return None


def _show_pool(name: str | None = None) -> None:
    shell = get_ipython()
    if shell is not None and can_update(shell) and knows_widgets():
        from nbfuse.notebook.pool_widget import PoolWidget

        display(PoolWidget(name))
    else:
        from nbfuse.render.pool import pool_text

        print(pool_text(choose(name, {})))


def _history(words: Sequence[str]) -> FusionResult | None:
    from nbfuse import report

    parser = Parser(prog="%fuse history", description="Earlier runs, the latest first.")
    add_history_options(parser)
    try:
        options = parser.parse_args(words)
    except HelpShown:
        return None
    if options.clear:
        print(report.cleared(options))
        return None
    if options.show is not None:
        return Ledger().load(options.show)
    found = report.past_runs(options)
    if found:
        _print_columns([report.HISTORY_HEADS, *(report.history_row(run) for run in found)])
    else:
        print("No such run.")
    return None


def _show_votes(told: Told) -> None:
    if told.counts:
        _print_columns([HEADS, *rows(told.counts)])
    print("\n".join(told.lines))


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    from nbfuse.render.columns import aligned

    print("\n".join(aligned(rows)))
