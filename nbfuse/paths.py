"""Where nbfuse keeps its files, and where those that ship with it lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).parent


def cache_folder() -> Path:
    """The user's cache folder for nbfuse, made if missing (logs, the list of models)."""
    return platformdirs.user_cache_path("nbfuse", appauthor=False, ensure_exists=True)


def data_folder() -> Path:
    """The user's data folder for nbfuse (downloaded models, the ledger); it may not exist yet."""
    return platformdirs.user_data_path("nbfuse", appauthor=False)


def config_folder() -> Path:
    """The user's config folder for nbfuse; it may not exist yet."""
    return platformdirs.user_config_path("nbfuse", appauthor=False)


def shipped(name: str) -> Path:
    """A file that comes with nbfuse: inside the installed package, or in a checkout beside it."""
    installed = _PACKAGE / name
    return installed if installed.exists() else _PACKAGE.parent / name


def is_local_only() -> bool:
    """Whether this whole machine is to ask nobody else (`NBFUSE_LOCAL_ONLY=1`)."""
    return bool(os.environ.get("NBFUSE_LOCAL_ONLY")) and not is_off("NBFUSE_LOCAL_ONLY")


def is_off(variable: str) -> bool:
    """Whether an environment variable says no."""
    return os.environ.get(variable, "").lower() in ("0", "off", "false", "no")


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
