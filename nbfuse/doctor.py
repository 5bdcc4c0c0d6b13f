"""Looks at this machine: what is installed, which engines work, keys, caches, and each remedy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from typing import NamedTuple

from nbfuse._version import __version__
from nbfuse.config import default_pool
from nbfuse.core.errors import NbfuseError
from nbfuse.local.catalog import catalog
from nbfuse.local.engine import engine
from nbfuse.local.kinds import INSTALL_MLX, KINDS, MLX, chosen, on_apple_silicon, prefers_mlx
from nbfuse.paths import cache_folder, config_folder
from nbfuse.providers.registry import openrouter_key


class Finding(NamedTuple):
    """One thing looked at; `needed` tells that nothing works without it."""

    what: str
    ok: bool
    found: str
    fix: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Look at everything; starts the local engine to see that it works."""
    python = f"Python {sys.version.split()[0]}, nbfuse {__version__}"
    key = openrouter_key() is not None
    engine_works = _engine()
    return [
        Finding("this", True, python, needed=True),
        Finding(
            "a place to ask", key or engine_works.ok, "yes" if key or engine_works.ok else "none",
            "" if key or engine_works.ok else "set a key, or install an engine", needed=True,
        ),
        engine_works,
        *_mlx(),
        *_models(),
        Finding(
            "OpenRouter key", key, "present" if key else "none",
            "" if key else "export OPENROUTER_API_KEY=…, or: keyring set nbfuse openrouter",
        ),
        _package("notebook kernel", "ipykernel", "notebook"),
        _package("nbfuse demo", "nbclient", "notebook"),
        _package("system keyring", "keyring", "keyring"),
        _package("nested asyncio.run", "nest_asyncio2", "nest"),
        _configuration(),
        _cache(),
    ]  # fmt: skip


def _engine() -> Finding:
    name, fix = "local engine", "pip install 'nbfuse[local]'"
    try:
        kind, why = chosen()
    except NbfuseError as error:
        return Finding(name, False, error.message, error.hint)
    said = f"{kind.name} {kind.found()} ({why})"
    others = ", ".join(f"{k.name} {k.found()}" for k in KINDS if k != kind and k.found())
    try:
        engine.serve(catalog()["tiny-judge"])
    except NbfuseError as error:
        return Finding(name, False, f"{said}: {error.message}", error.hint or fix)
    said = f"{said} answers" + (f"; it lacks: {kind.lacks}" if kind.lacks else "")
    return Finding(name, True, f"{said}; also here: {others}" if others else said)


def _mlx() -> list[Finding]:
    """Whether MLX is here and what for; nothing where it would be of no use."""
    version = MLX.found()
    if version is not None:
        preferred = "the first choice" if prefers_mlx() else "for folders of its weights"
        return [Finding("MLX", True, f"{MLX.name} {version}, {preferred}; it lacks: {MLX.lacks}")]
    if on_apple_silicon():
        return [Finding("MLX", False, "not installed", INSTALL_MLX)]
    return []


def _models() -> list[Finding]:
    findings = []
    for name, model in catalog().items():
        there = model.here
        found, fix = ("there", "") if there else ("not here", model.remedy(name))
        findings.append(Finding(f"local:{name}", there, found, fix))
    return findings


def _package(what: str, module: str, extra: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(what, False, "not installed", f"pip install 'nbfuse[{extra}]'")
    return Finding(what, True, f"{module} {importlib.metadata.version(module)}")


def _configuration() -> Finding:
    try:
        chosen = default_pool()
    except NbfuseError as error:
        return Finding("configuration", False, error.message, error.hint)
    found = f"default pool {chosen.pool.name}: {chosen.reason}"
    return Finding("configuration", True, f"{found} (user file: {config_folder() / 'nbfuse.toml'})")


def _cache() -> Finding:
    try:
        folder = cache_folder()
    except OSError as error:
        return Finding("cache", False, str(error), "make that folder writable")
    if not os.access(folder, os.W_OK):
        return Finding("cache", False, str(folder), "make that folder writable")
    return Finding("cache", True, str(folder))
