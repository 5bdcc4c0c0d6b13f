"""`%%fuse` asks a pool, `%fuse` has commands about it. Parses and delegates; decides nothing.

What only a run needs (the fusion engine, reports, renderings) is imported when one begins: half of
what `%load_ext` would otherwise cost.
"""

from __future__ import annotations

import functools
import os
import shlex
import warnings

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Float, Int, TraitError, Unicode

from nbfuse.api import stream, stream_again
from nbfuse.core.errors import ConfigError, Stopped, did_you_mean
from nbfuse.core.pool import MODES
from nbfuse.core.request import Request
from nbfuse.core.types import FusionResult
from nbfuse.notebook import completion
from nbfuse.notebook.commands import run_command
from nbfuse.notebook.interpolate import interpolate
from nbfuse.notebook.runner import runner
from nbfuse.notebook.session import Session
from nbfuse.options import HelpShown, Parser, add_run_options, add_tape_options, pool_of, tape_of

COMPARISON = ("nbfuse.comparison.comparison", "Comparison")  # imported where one is made


def parser() -> Parser:
    """The options of `%%fuse`."""
    made = Parser(
        prog="%%fuse",
        allow_abbrev=False,
        description="Ask several models at once and fuse their answers.",
        epilog="{{ name }} in the prompt becomes that variable, a DataFrame a short table.",
    )
    made.stray = "The prompt goes below the line, options on it."
    add_run_options(made)
    made.add_argument("-o", "--out", metavar="NAME", help="variable that gets the result")
    made.add_argument("--strict", action="store_true", help="an error, if nobody answers")
    made.add_argument("-q", "--quiet", action="store_true", help="show nothing")
    made.add_argument("--tools", metavar="F,G", help="functions of yours that models may call")
    made.add_argument("--raw", action="store_true", help="leave {{ name }} in the prompt as it is")
    return made


@magics_class
class Fuse(Magics):
    """The magic, and what `%config Fuse` sets for all cells; options of a cell go first."""

    pool = Unicode("", help="Named pool to ask where a cell names none.").tag(config=True)
    judge = Unicode("", help="Model that judges, in place of the pool's.").tag(config=True)
    mode = Enum(("", *MODES), "", help="How to fuse, in place of the pool's mode.").tag(config=True)
    quorum = Int(None, allow_none=True, help="How many answers are enough.").tag(config=True)
    deadline = Float(None, allow_none=True, help="Seconds after which a run ends.").tag(config=True)
    max_tokens = Int(None, allow_none=True, help="Limit of each answer.").tag(config=True)
    temperature = Float(None, allow_none=True, help="Of all members.").tag(config=True)
    seed = Int(None, allow_none=True, help="Makes runs repeatable.").tag(config=True)
    live = Bool(
        os.environ.get("NBFUSE_LIVE", "").lower() not in ("off", "0"),
        help="Show a live view while a cell runs.",
    ).tag(config=True)

    shell: InteractiveShell
    _pool_named = False

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self.session = Session(shell)
        self.session.live = self.live
        self.observe(lambda change: setattr(self.session, "live", change["new"]), "live")

    @no_var_expand
    @line_cell_magic
    def fuse(self, line: str, cell: str | None = None) -> object:
        """Ask several language models at once and fuse their answers.

        %%fuse [options]
        What is 12 + 30, and what is the capital of {{ country }}?

        Options: -p POOL, -m MODELS, -j JUDGE, --judges A,B, --mode best-of|merge|debate|auto,
        --local-first, --check, --answer KIND, --run, --schema X, --quorum N, --deadline S,
        --max-tokens N, --temperature T, --seed N, --tools F,G, --image X, --record FILE,
        --replay FILE, -o NAME, -q, --strict, --dry-run, --raw. The result is the cell's value. A
        last line of ";" alone hides it. %fuse --help tells more about the options, %fuse help
        about commands.
        """
        words = _words(line)
        try:
            if cell is not None:
                return self._ask(words, cell)
            if words[:1] == ["rejudge"]:
                return self._judge_again(words[1:])
            if words[:1] == ["compare"]:
                from nbfuse.notebook.comparing import compare

                return compare(self.session, words[1:])
            shown = run_command(words, self.session, parser().print_help)
            self.session.refer_to(shown)  # what comes next is about that one
            return shown
        except Stopped:
            raise
        except KeyboardInterrupt:  # before or after the run itself
            raise Stopped(None) from None

    def _ask(self, words: list[str], cell: str) -> FusionResult | None:
        try:
            options = parser().parse_args(words)
        except HelpShown:
            return None
        out = _variable(options.out)
        from nbfuse import report

        # IPython's own rule, a ";" at the end, would hide the answer to every question about SQL
        body, _, last = cell.rstrip().rpartition("\n")
        hidden = last.strip() == ";"
        text = body if hidden else cell
        prompt = (text if options.raw else interpolate(text, self.shell.user_ns)).strip()
        tape = tape_of(options)
        recorded = tape["replay"].pool_for(prompt) if tape["replay"] else None
        pool, reason = pool_of(options, self._preset(), recorded)
        tools = self._tools(options.tools)
        images = [self._picture(one) for one in options.image]
        schema = self._schema(options.schema)
        if options.dry_run:
            from nbfuse.fusion.plan import make_plan

            asked = Request(prompt, pool, tools, images, schema=schema)
            print(report.plan_text(runner.run(make_plan(asked))))
            return None
        if reason != "as asked" and not self._pool_named and not options.quiet:
            self._pool_named = True
            print(report.pool_line(pool, reason))
        further = {"tools": tools, "images": images, "schema": schema, **tape}
        events = functools.partial(stream, prompt, pool, **further)
        return self.session.run(events, out, options.quiet or hidden, options.strict)

    def _judge_again(self, words: list[str]) -> FusionResult | None:
        """`%fuse rejudge`: the answers of the last run, or of the one named, judged anew."""
        own = Parser(
            prog="%fuse rejudge", description="Judge answers again that are there already."
        )
        own.add_argument("run", nargs="?", help="a run of the history (default: the last result)")
        own.add_argument("-j", "--judge", metavar="MODEL", help="who judges and writes")
        own.add_argument("--mode", metavar="MODE", help=", ".join(MODES))
        own.add_argument("--retry", action="store_true", help="ask those again that had failed")
        own.add_argument("-o", "--out", metavar="NAME", help="a variable for the result")
        add_tape_options(own)
        try:
            options = own.parse_args(words)
        except HelpShown:
            return None
        earlier = self.session.last
        if options.run is not None:
            from nbfuse.ledger.ledger import Ledger

            earlier = Ledger().load(options.run)
        if earlier is None:
            raise ConfigError("There is no last result yet.", "Name a run of %fuse history.")
        asked = {"judge": options.judge, "mode": options.mode}
        settings = {name: value for name, value in asked.items() if value is not None}
        further = {"retry": options.retry, **tape_of(options)}
        events = functools.partial(stream_again, earlier, settings, **further)
        return self.session.run(events, _variable(options.out), quiet=False)

    def _picture(self, name: str) -> object:
        """What `--image` names: a variable of the notebook, else a file."""
        if name not in self.shell.user_ns and name.isidentifier() and not os.path.exists(name):
            near = did_you_mean(name, [n for n in self.shell.user_ns if n[0] != "_"])
            raise ConfigError(f"--image: {name!r} is neither a variable nor a file.", near)
        return self.shell.user_ns.get(name, name)

    def _schema(self, name: str | None) -> object:
        """What `--schema` names: a variable, an attribute of one, else a file."""
        if name is None or os.path.exists(name) or name.endswith(".json"):
            return name
        return self._named("--schema", name)

    def _tools(self, names: str | None) -> list[object]:
        """What `--tools` names: functions or schemas, their attributes, or lists of them."""
        found: list[object] = []
        for name in (part.strip() for part in (names or "").split(",") if part.strip()):
            value = self._named("--tools", name)
            found += value if isinstance(value, list | tuple) else [value]
        return found

    def _named(self, option: str, name: str) -> object:
        """The variable that an option names, or an attribute of it."""
        first, *attributes = name.split(".")
        if first not in self.shell.user_ns:
            near = did_you_mean(first, [n for n in self.shell.user_ns if n[0] != "_"])
            raise ConfigError(f"{option}: there is no variable {first!r}.", near)
        try:
            return functools.reduce(getattr, attributes, self.shell.user_ns[first])
        except AttributeError as error:
            raise ConfigError(f"{option} {name}: {error}.", "Check its name.") from None

    def _preset(self) -> dict[str, object]:
        names = ("pool", "judge", "mode", "quorum", "max_tokens", "temperature", "seed")
        preset = {name: getattr(self, name) for name in names}
        preset["deadline_s"] = self.deadline
        return {name: value for name, value in preset.items() if value not in (None, "")}


def _variable(name: str | None) -> str | None:
    if name is not None and not name.isidentifier():
        raise ConfigError(f"--out {name}: that is not a variable's name.", "Use one word.")
    return name


def _words(line: str) -> list[str]:
    """The option line in words: quotes hold together, backslashes are letters, " #" comments."""
    lexer = shlex.shlex(line.strip().removesuffix(";"), posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise ConfigError(f"The options can't be read: {error}.", "Close the quotes.") from error
    comment = next((i for i, word in enumerate(words) if word.startswith("#")), len(words))
    return words[:comment]


def load(ip: InteractiveShell) -> None:
    """Register the magic, its configuration, its completion, and how results are shown."""
    try:
        magic = Fuse(shell=ip)
    except TraitError as error:  # %config keeps what it refuses, and a file may hold anything
        warnings.warn(f"nbfuse ignores what is configured for it: {error}", stacklevel=2)
        ip.config.pop("Fuse", None)
        ip.configurables[:] = [one for one in ip.configurables if not isinstance(one, Fuse)]
        magic = Fuse(shell=ip)
    ip.register_magics(magic)
    ip.events.register("pre_run_cell", magic.session.forget_screen)
    assert ip.display_formatter is not None
    formatter = ip.display_formatter.ipython_display_formatter
    formatter.for_type(FusionResult, magic.session.show)
    formatter.for_type_by_name(*COMPARISON, magic.session.show_comparison)
    completion.install(ip)


def unload(ip: InteractiveShell) -> None:
    """Undo `load`."""
    for kind in ("line", "cell"):
        ip.magics_manager.magics[kind].pop("fuse", None)
    for magic in [one for one in ip.configurables if isinstance(one, Fuse)]:
        ip.configurables.remove(magic)
        ip.events.unregister("pre_run_cell", magic.session.forget_screen)
    assert ip.display_formatter is not None
    formatter = ip.display_formatter.ipython_display_formatter
    for shown in (FusionResult, ".".join(COMPARISON)):
        formatter.pop(shown, None)
    completion.uninstall(ip)
