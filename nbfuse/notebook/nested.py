"""`nbfuse.allow_nested()`: an opt-in patch of asyncio, never used by nbfuse itself."""

from __future__ import annotations

import importlib

from nbfuse.core.errors import ConfigError


def allow() -> None:
    """Apply nest-asyncio2, or nest-asyncio where only that is installed."""
    for name in ("nest_asyncio2", "nest_asyncio"):
        try:
            importlib.import_module(name).apply()
        except ModuleNotFoundError:
            continue
        return
    raise ConfigError("nest-asyncio2 is not installed.", "pip install 'nbfuse[nest]'")
