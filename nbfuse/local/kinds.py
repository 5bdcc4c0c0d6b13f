"""The engines that can serve a model, which of them is here, and which one is used.

All are llama.cpp behind an OpenAI-compatible server; `serve.py` starts each in the same shape.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from typing import NamedTuple

from nbfuse.core.errors import ConfigError, ProviderUnavailableError, did_you_mean

INSTALL = "Install the engine: pip install 'nbfuse[local]'"


class Kind(NamedTuple):
    """An engine and what it lacks beside the others.

    `samples` tells whether it makes several at once, `repeatable` whether a seed is the same answer
    again whatever was asked before.
    """

    name: str
    lacks: str = ""
    samples: bool = True
    repeatable: bool = True

    def found(self) -> str | None:
        """Its version or its place on this machine, None where it is not."""
        if self.name == "llama-server":
            return shutil.which(os.environ.get("NBFUSE_LLAMA_SERVER") or "llama-server")
        module = "llama_cpp" if self.name == "llama-cpp-python" else self.name
        if importlib.util.find_spec(module) is None:  # finds it without importing it
            return None
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return "of an unknown version"


KINDS = (
    Kind("xllamacpp", "in its prebuilt form GPUs other than Apple's, and AVX-512"),
    Kind("llama-server"),
    Kind(
        "llama-cpp-python",
        "one request at a time, samples one after another, seeds that repeat, usage, tools, "
        "checked weights, idle unloading",
        samples=False,
        repeatable=False,  # what it remembers of earlier prompts can't be put aside
    ),
)


def chosen() -> tuple[Kind, str]:
    """The engine that is used, and in a few words why.

    NBFUSE_ENGINE names one; else it is the first that is here. Raises `ConfigError` for an unknown
    name and `ProviderUnavailableError` where there is none.
    """
    names = [kind.name for kind in KINDS]
    if (name := os.environ.get("NBFUSE_ENGINE", "")) != "":
        if name not in names:
            raise ConfigError(f"NBFUSE_ENGINE can't be {name!r}.", did_you_mean(name, names))
        kind = KINDS[names.index(name)]
        if kind.found() is None:
            raise ProviderUnavailableError(
                f"NBFUSE_ENGINE names {name}, which is not here.", f"Install it, or: {INSTALL}"
            )
        return kind, "NBFUSE_ENGINE names it"
    for kind in KINDS:
        if kind.found() is not None:
            return kind, "the first that is here"
    raise ProviderUnavailableError("There is no engine for local models here.", INSTALL)
