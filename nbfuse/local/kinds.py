"""The engines that can serve a model, which of them is here, and which one is used.

All speak OpenAI's protocol; `serve.py` starts each in the same shape. Those for GGUF files are
llama.cpp, the one for folders of MLX weights is MLX.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from nbfuse.core.errors import ConfigError, ProviderUnavailableError, did_you_mean

INSTALL = "Install the engine: pip install 'nbfuse[local]'"
INSTALL_MLX = "Install MLX: pip install 'nbfuse[mlx]'"
_PACKAGES = {"llama-cpp-python": "llama_cpp", "mlx-lm": "mlx_lm"}  # as they are imported


class Kind(NamedTuple):
    """An engine and what it lacks beside the others.

    `samples` tells whether it makes several at once, `repeatable` whether a seed is the same answer
    again whatever was asked before, `vision` whether it can be shown pictures,
    `continues` whether it goes on with a text that an answer begins with, which it then `echoes`.
    """

    name: str
    lacks: str = ""
    samples: bool = True
    repeatable: bool = True
    vision: bool = True
    continues: bool = False
    echoes: bool = False

    def found(self) -> str | None:
        """Its version or its place on this machine, None where it is not."""
        if self.name == "llama-server":
            return shutil.which(os.environ.get("NBFUSE_LLAMA_SERVER") or "llama-server")
        module = _PACKAGES.get(self.name, self.name)
        if importlib.util.find_spec(module) is None:  # finds it without importing it
            return None
        return _version(self.name)


@functools.cache  # 12 ms to read, and asked for several times a run
def _version(package: str) -> str:
    from importlib import metadata  # 20 ms, a fifth of `import nbfuse`

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of an unknown version"


MLX = Kind(
    "mlx-lm", "pictures, a smaller cache, and a say in how many threads it takes", vision=False
)
KINDS = (
    Kind("xllamacpp", "in its prebuilt form GPUs other than Apple's, and AVX-512", continues=True),
    Kind("llama-server", continues=True, echoes=True),
    Kind(
        "llama-cpp-python",
        "several requests at a time, samples at once, seeds that repeat, usage, pictures, "
        "checked weights, idle unloading",
        samples=False,
        vision=False,
        repeatable=False,  # what it remembers of earlier prompts can't be put aside
    ),
)


def chosen() -> tuple[Kind, str]:
    """The engine that is used for GGUF files, and in a few words why.

    NBFUSE_ENGINE names one; else it is the first that is here. Raises `ConfigError` for an unknown
    name and `ProviderUnavailableError` where there is none.
    """
    names = [kind.name for kind in KINDS]
    if (name := os.environ.get("NBFUSE_ENGINE", "")) not in ("", MLX.name):
        if name not in names:
            near = did_you_mean(name, [*names, MLX.name])
            raise ConfigError(f"NBFUSE_ENGINE can't be {name!r}.", near)
        kind = KINDS[names.index(name)]
        if kind.found() is None:
            raise ProviderUnavailableError(
                f"NBFUSE_ENGINE names {name}, which is not here.",
                "Install it, or leave NBFUSE_ENGINE out.",
            )
        return kind, "NBFUSE_ENGINE names it"
    for kind in KINDS:
        if kind.found() is not None:
            return kind, "the first that is here"
    raise ProviderUnavailableError("There is no engine for local models here.", INSTALL)


def kind_for(path: Path) -> Kind:
    """The engine for weights in `path`, a GGUF file or a folder for MLX.

    Raises `ConfigError` or `ProviderUnavailableError`.
    """
    if not path.is_dir():
        return chosen()[0]
    if MLX.found() is None:
        raise ProviderUnavailableError(
            f"{path.name} holds weights for MLX, which is not here.",
            f"{INSTALL_MLX}, or take a GGUF file.",
        )
    return MLX


def prefers_mlx() -> bool:
    """Whether a model that exists in both forms is taken in MLX's: on Apple silicon, if it is here.

    NBFUSE_ENGINE says otherwise.
    """
    wanted = os.environ.get("NBFUSE_ENGINE") or (MLX.name if on_apple_silicon() else "")
    return wanted == MLX.name and MLX.found() is not None


def on_apple_silicon() -> bool:
    """Whether this is a Mac with a processor of Apple's own."""
    return sys.platform == "darwin" and platform.machine() == "arm64"
