"""nbfuse: one notebook cell, many language models, one answer that you can check."""

from __future__ import annotations

import importlib
import typing

from nbfuse._version import __version__
from nbfuse.api import fuse, promote, rejudge, stream
from nbfuse.config import load_pool
from nbfuse.core.errors import NbfuseError, NoAnswerError, Stopped
from nbfuse.core.pool import Pool
from nbfuse.core.types import Answer, FusionResult, from_json, to_json

if typing.TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbfuse.comparison.compare import compare
    from nbfuse.comparison.comparison import Comparison
    from nbfuse.evaluation.evaluate import evaluate
    from nbfuse.evaluation.evaluation import Evaluation
    from nbfuse.notebook.pool_widget import PoolWidget

__all__ = [
    "Answer",
    "Comparison",
    "Evaluation",
    "FusionResult",
    "NbfuseError",
    "NoAnswerError",
    "Pool",
    "PoolWidget",
    "Stopped",
    "__version__",
    "allow_nested",
    "compare",
    "evaluate",
    "from_json",
    "fuse",
    "load_ipython_extension",
    "load_pool",
    "promote",
    "rejudge",
    "stream",
    "to_json",
    "unload_ipython_extension",
]


# what needs packages of its own, or takes half a second to import, is there when it is needed
_LATER = {
    "Comparison": "nbfuse.comparison.comparison",
    "Evaluation": "nbfuse.evaluation.evaluation",
    "PoolWidget": "nbfuse.notebook.pool_widget",
    "compare": "nbfuse.comparison.compare",
    "evaluate": "nbfuse.evaluation.evaluate",
}


def __getattr__(name: str) -> object:
    if name == "replay":
        return importlib.import_module("nbfuse.replay")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'nbfuse' has no attribute {name!r}")


def load_ipython_extension(ip: InteractiveShell) -> None:
    """Add `%%fuse` and `%fuse`: the body of `%load_ext nbfuse`."""
    from nbfuse.notebook import magics

    magics.load(ip)


def unload_ipython_extension(ip: InteractiveShell) -> None:
    """Take them away again: the body of `%unload_ext nbfuse`."""
    from nbfuse.notebook import magics

    magics.unload(ip)


def allow_nested() -> None:
    """Let `asyncio.run` be called inside a cell, where a loop runs already.

    An opt-in that patches asyncio for the whole process (extra `nest`); `await nbfuse.fuse(…)` and
    `%%fuse` don't need it. Raises `ConfigError` where nest-asyncio2 is not installed.
    """
    from nbfuse.notebook import nested

    nested.allow()
