"""The options of a run, the same in a cell and on the command line."""

from __future__ import annotations

import argparse
import shlex
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from nbfuse.api import choose
from nbfuse.config import default_pool, pools
from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.pool import ANSWER_KINDS, MODES, SETTINGS, Pool, expand

if typing.TYPE_CHECKING:
    from nbfuse.comparison.compare import Options
    from nbfuse.evaluation.grading import Grade

SPEEDS = ("full", "original")


class HelpShown(Exception):
    """`--help` was asked for and has been printed."""


class Parser(argparse.ArgumentParser):
    """argparse that raises our own error, with the nearest option, instead of leaving Python.

    `stray` is what to say of a word that is no option.
    """

    stray = "Put a question of several words into quotes."

    def error(self, message: str) -> NoReturn:
        hint = f"See {self.prog.replace('%%', '%')} --help."
        if message.startswith("unrecognized arguments: "):
            word = message.partition(": ")[2].split()[0]
            if word.startswith("-"):
                hint = f"{did_you_mean(word, self._option_string_actions)} {hint}"
            else:
                hint = f"{self.stray} {hint}"
        raise ConfigError(f"{self.prog}: {message}.", hint)

    def parse_known_args(  # type: ignore[override]  # the base's overloads differ only in types
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse unknown options where they are met, so that a command names its own."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        raise HelpShown


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides who is asked, how answers are fused, and within which limits."""
    add = parser.add_argument
    add("-p", "--pool", metavar="NAME", help="a named pool (see: %%fuse pool --list)")
    add(
        *("-m", "--models"),
        action="append",
        metavar="A,B",
        help="members instead of a pool's; A*3 asks A three times",
    )
    add("-j", "--judge", metavar="MODEL", help="who judges and writes")
    add("--judges", metavar="A,B", help="two judges, best of different families")
    add("--check", action="store_const", const=True, help="judge even an answer that is alone")
    add("--mode", metavar="MODE", help=f"{', '.join(MODES)} (default: the pool's)")
    add("--local-first", action="store_const", const=True, help="with --mode auto: a cascade")
    add("--answer", metavar="KIND", help=f"compare answers as {', '.join(ANSWER_KINDS)}")
    add("--run", action="store_const", const=True, help="run Python code in answers, confined")
    add("--quorum", type=int, metavar="N", help="how many answers are enough")
    add("--deadline", type=float, metavar="S", help="seconds after which the run ends")
    add("--max-tokens", type=int, metavar="N", help="limit of each answer")
    add("--temperature", type=float, metavar="T", help="0 is the most likely answer, 1 is free")
    add("--image", action="append", default=[], metavar="X", help="a picture for who can see")
    add("--schema", metavar="X", help="answers obey it: a file of a JSON schema; in a cell a model")
    add("--local-only", action="store_const", const=True, help="let nothing leave this machine")
    add("--seed", type=int, metavar="N", help="makes sampling and shuffling repeatable")
    add_tape_options(parser)
    add("--dry-run", action="store_true", help="say who would be asked and the price; ask nobody")


def add_tape_options(parser: argparse.ArgumentParser) -> None:
    """Add what keeps all that models say, or answers from what is kept."""
    add = parser.add_argument
    add("--record", metavar="FILE", help="append all that models say to this file")
    add("--replay", metavar="FILE", help="answer from such a file: no key, no network, no cost")
    add("--replay-speed", choices=SPEEDS, metavar="SPEED", help="full (default) or original")


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """Add who is compared, on what, by whom, and within which limits."""
    add = parser.add_argument
    add("contenders", nargs="*", metavar="A B", help="two to four models, pool:NAME or run:NAME")
    add("--on", metavar="X", help="questions: a file; in a cell a variable (default: your last)")
    add("--grade", metavar="X", help="marks an answer: MODULE:FUNCTION; in a cell a function")
    add("-j", "--judge", metavar="MODEL", help="who plays the reviewers")
    add("--monthly", type=int, metavar="N", help="questions a month (default: your pace)")
    add("--votes", metavar="FOLDER", help="count a community's votes beside your own")
    add("--budget", metavar="USD", help="begin nothing more once so much is spent")
    add("--concurrency", type=int, default=4, metavar="N", help="questions at once (default: 4)")
    add("--seed", type=int, default=0, metavar="N", help="draws what reviewers read")
    add("--fresh", action="store_true", help="use nothing again that was paid for before")
    add_tape_options(parser)
    add("--dry-run", action="store_true", help="say who would be asked and the price; ask nobody")


def add_history_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses among the runs of the ledger, and what is done with them."""
    add = parser.add_argument
    add("search", nargs="*", default=[], help="only runs with these words, as one text")
    add("-p", "--pool", metavar="NAME", default="", help="of this pool")
    add("-m", "--model", metavar="WORD", default="", help="with this model")
    add("--day", metavar="DATE", default="", help="of this day or month: 2026-11-24, 2026-11")
    add("--cost", type=float, metavar="USD", help="that cost so much or more")
    add("-n", "--limit", type=int, default=20, metavar="N", help="how many at most (default: 20)")
    add("--show", metavar="RUN", help="a run again, by the first letters of its name")
    add("--clear", action="store_true", help="forget all runs, or those of --older")
    add("--older", type=float, default=0.0, metavar="DAYS", help="clear what is older")


def tape_of(options: argparse.Namespace) -> dict[str, Any]:
    """`record` and `replay` as `nbfuse.stream` takes them; raises `ConfigError`."""
    if options.replay is None:
        if options.replay_speed is not None:
            raise ConfigError("--replay-speed belongs to --replay.", "Write both.")
        return {"record": options.record, "replay": None}
    from nbfuse.replay import source_of

    source = source_of(options.replay, options.replay_speed or "full")
    return {"record": options.record, "replay": source}


def comparing_of(options: argparse.Namespace, questions: object, grade: Grade | None) -> Options:
    """What a comparison is asked for; raises `ConfigError`."""
    from nbfuse.comparison.compare import Options

    names = ("judge", "budget", "monthly", "concurrency", "seed", "fresh", "votes")
    asked = {name: getattr(options, name) for name in names}
    return Options(questions, grade, **asked, **tape_of(options))


def pool_of(
    options: argparse.Namespace,
    preset: Mapping[str, object] | None = None,
    recorded: Pool | None = None,
) -> tuple[Pool, str]:
    """The pool that the options mean, and in a few words why; raises `ConfigError`.

    `preset` holds settings of lower rank, such as those of `%config Fuse`; `recorded` is the pool
    of what is replayed, for who names none.
    """
    own, lower = _settings(options), dict(preset or {})
    if "models" in own and "pool" not in own:  # presets of a pool don't fit other members
        lower = {name: value for name, value in lower.items() if name not in ("pool", "quorum")}
    chosen = lower | own
    members, name = chosen.pop("models", None), chosen.pop("pool", None)
    if name is not None:
        pool, reason = choose(str(name), {}), "as asked"
    elif recorded is not None:
        pool, reason = recorded, "as asked"
    else:
        pool, reason = default_pool(local_only=bool(chosen.get("local_only")))
    if members is not None:
        specs = tuple(part.strip() for part in str(members).split(",") if part.strip())
        pool = msgspec.structs.replace(pool, members=specs, quorum=None, anchor=None, name="")
        reason = "as asked"
    return choose(pool, chosen), reason


_FIELDS = {"deadline": "deadline_s"}
_NAMES = ("pool", "models", "judge", "second_judge", "check", "mode", "local_first", "answer",
          "run", "quorum", "deadline", "max_tokens", "temperature", "local_only",
          "seed")  # fmt: skip


def _settings(options: argparse.Namespace) -> dict[str, object]:
    given = {name: getattr(options, name, None) for name in _NAMES}
    if options.judges is not None:
        given["judge"], given["second_judge"] = _two_judges(options)
    given["models"] = ",".join(options.models) if options.models else None
    return {_FIELDS.get(name, name): value for name, value in given.items() if value is not None}


def _two_judges(options: argparse.Namespace) -> tuple[str, str | None]:
    names = [name.strip() for name in options.judges.split(",") if name.strip()]
    if options.judge is not None or not 1 <= len(names) <= 2:
        raise ConfigError(
            f"--judges {options.judges}: that is not one judge or two.",
            "Name two, best of different families: more agree on the same errors.",
        )
    return names[0], names[1] if len(names) > 1 else None


def cell_line(pool: Pool) -> str:
    """The first line of a cell that asks this pool: by its name, where it is kept under that.

    Raises `ConfigError` where neither a name nor options say it.
    """
    if pool.name and pools().get(pool.name) == pool:
        return f"%%fuse {_option('--pool', pool.name)}"
    # what is not said would be taken from the default pool
    said = {"models": ",".join(pool.members), "judge": pool.judge or expand(pool.members)[0]}
    shown = said | {"mode": pool.mode}
    if pool.second_judge is not None:
        shown["judges"] = f"{shown.pop('judge')},{pool.second_judge}"
    words = [_option(f"--{name}", value) for name, value in shown.items()]
    for name in _NAMES:
        value = getattr(pool, _FIELDS.get(name, name), None)
        if (
            name not in ("judge", "second_judge", "mode")
            and value is not None
            and value is not False
        ):
            flag = f"--{name.replace('_', '-')}"
            words.append(flag if value is True else _option(flag, value))
    reader = Parser(prog="%%fuse", allow_abbrev=False)
    add_run_options(reader)
    asked, _ = pool_of(reader.parse_args(shlex.split(" ".join(words))))
    unsaid = [
        name
        for name in SETTINGS
        if getattr(asked, name) != (said["judge"] if name == "judge" else getattr(pool, name))
    ]
    if unsaid:
        raise ConfigError(
            f"A cell has no option for {', '.join(unsaid)}.",
            "Save the pool, and name it in the cell.",
        )
    return " ".join(["%%fuse", *words])


def _option(flag: str, value: object) -> str:
    text = shlex.quote(str(value))
    return f"{flag}={text}" if text.startswith("-") else f"{flag} {text}"
