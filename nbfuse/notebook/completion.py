"""Tab completion of `%fuse` lines: options, pools, models. Never asks the network."""

from __future__ import annotations

import re

from IPython.core.interactiveshell import InteractiveShell

from nbfuse.config import pools
from nbfuse.core.errors import NbfuseError
from nbfuse.core.pool import ANSWER_KINDS, MODES

_PATTERN = r"%%?fuse"
_COMMANDS = ("models", "pool", "last", "help")


def complete(_shell: InteractiveShell, event: object) -> list[str]:
    """What may stand at the cursor; `event` is IPython's."""
    line = str(getattr(event, "text_until_cursor", "") or getattr(event, "line", ""))
    symbol = str(getattr(event, "symbol", ""))
    words = line.split()
    word = "" if line.endswith((" ", "=")) else words[-1]
    before = words[-1] if not word else words[-2] if len(words) > 1 else ""
    # the completer cuts words at ":" and ","; what stands before the cut is not replaced
    done = word[: len(word) - len(symbol)]
    choices = _choices(line.lstrip().startswith("%%"), before, word)
    return [choice[len(done) :] for choice in choices if choice.startswith(word)]


def _choices(cell: bool, before: str, word: str) -> list[str]:
    if not cell:
        return list(_COMMANDS)
    match before:
        case "-p" | "--pool":
            return _pool_names()
        case "-m" | "--models" | "-j" | "--judge":
            begun = word.rpartition(",")[0]
            return [f"{begun},{spec}" if begun else spec for spec in _specs()]
        case "--mode":
            return list(MODES)
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
    local = [f"local:{name}" for name, model in catalog().items() if model.path().is_file()]
    return local + [f"openrouter:{info.id}" for info in kept]


def install(ip: InteractiveShell) -> None:
    """Hook completion into IPython."""
    ip.set_hook("complete_command", complete, re_key=_PATTERN)


def uninstall(ip: InteractiveShell) -> None:
    """Take the hook out again."""
    ip.strdispatchers["complete_command"].regexs.pop(re.compile(_PATTERN), None)
