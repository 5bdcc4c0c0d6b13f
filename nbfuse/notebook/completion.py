"""Tab completion of `%fuse` lines: options, pools, models. Never asks the network."""

from __future__ import annotations

import re

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.interactiveshell import InteractiveShell

from nbfuse.config import pools
from nbfuse.core.errors import NbfuseError
from nbfuse.core.pool import ANSWER_KINDS, MODES
from nbfuse.notebook.commands import COMMANDS
from nbfuse.options import SPEEDS

_LINE = re.compile(r"\s*(?:\w+\s*=\s*)?(?P<magic>%%?)fuse\s+(?P<rest>.*)$", re.DOTALL)
_FREE = ("-o", "--out", "--quorum", "--deadline", "--max-tokens", "--temperature", "--seed",
         "--record", "--replay", "--schema")  # fmt: skip


@context_matcher()  # type: ignore[untyped-decorator]
def fuse_matcher(context: CompletionContext) -> SimpleMatcherResult:
    """What may stand at the cursor of a `%fuse` line; then IPython offers nothing else."""
    line = context.line_with_cursor[: context.cursor_position]
    found = _LINE.match(line)
    if found is None or context.cursor_line > 0:
        return {"completions": []}
    rest = found["rest"]
    words = rest.split()
    word = "" if not rest or rest[-1].isspace() else words.pop()
    before = words[-1] if words else ""
    if word.startswith("--") and "=" in word:
        before, _, word = word.partition("=")
    if found["magic"] == "%":
        choices = _after(words) if words else list(COMMANDS)
    else:
        choices = _choices(before, word)
    # the completer replaces `token`, which it cuts at ":", "," and "-": give what follows the cut
    done = word[: len(word) - len(context.token)] if word.endswith(context.token) else ""
    matches = [
        SimpleCompletion(text=choice[len(done) :], type="magic")
        for choice in choices
        if choice.startswith(word)
    ]
    return {"completions": matches, "suppress": True}


def _after(words: list[str]) -> list[str]:
    """What may follow the first words of a command."""
    match words:
        case ["compare", *_]:
            from nbfuse.notebook.comparing import parser

            options = [name for name in parser()._option_string_actions if name.startswith("--")]
            return [*_specs(), *(f"pool:{name}" for name in _pool_names()), *options]
        case ["vote", "ship" | "skip"]:
            return [*_specs(), *(f"pool:{name}" for name in _pool_names())]
        case ["bookmarks"]:
            return ["list", "search", "save", "open", "delete"]
        case ["bookmarks", "open" | "delete"]:
            return _bookmarks()
    return []


def _bookmarks() -> list[str]:
    from nbfuse.ledger.bookmarks import Bookmarks

    try:
        return [mark.name for mark in Bookmarks().find()]
    except NbfuseError:
        return []


def _choices(before: str, word: str) -> list[str]:
    if before in _FREE:
        return []
    match before:
        case "-p" | "--pool":
            return _pool_names()
        case "-m" | "--models" | "-j" | "--judge":
            begun = word.rpartition(",")[0]
            return [f"{begun},{spec}" if begun else spec for spec in _specs()]
        case "--mode":
            return list(MODES)
        case "--replay-speed":
            return list(SPEEDS)
        case "--answer":
            return list(ANSWER_KINDS)
    from nbfuse.notebook.magics import parser

    return [name for name in parser()._option_string_actions if name.startswith("--")]


def _pool_names() -> list[str]:
    try:
        return list(pools())
    except NbfuseError:  # a broken file: the run itself says what is wrong
        return []


def _specs() -> list[str]:
    from nbfuse.local.catalog import catalog
    from nbfuse.providers.modellist import kept_models
    from nbfuse.providers.registry import openrouter_url

    kept = kept_models(openrouter_url(), max_age_s=float("inf")) or []
    local = [f"local:{name}" for name, model in catalog().items() if model.here]
    return local + [f"openrouter:{info.id}" for info in kept]


def install(ip: InteractiveShell) -> None:
    """Add the matcher to IPython's."""
    if ip.Completer is not None:
        ip.Completer.custom_matchers.append(fuse_matcher)


def uninstall(ip: InteractiveShell) -> None:
    """Take it out again."""
    if ip.Completer is not None and fuse_matcher in ip.Completer.custom_matchers:
        ip.Completer.custom_matchers.remove(fuse_matcher)
