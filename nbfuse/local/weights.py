"""Where weights may lie on this machine: the hub's cache, Ollama's and LM Studio's folders.

Read from their documented layouts, so that nothing has to be imported, asked or fetched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from nbfuse.local.folder import is_whole
from nbfuse.paths import data_folder


def hub_cache() -> Path:
    """The folder in which the hub's client keeps what it has fetched (HF_HUB_CACHE, HF_HOME)."""
    if (own := os.environ.get("HF_HUB_CACHE")) is not None:
        return Path(own).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{cache}/huggingface")).expanduser() / "hub"


def kept(repo: str, wanted: str) -> Path | None:
    """The file of `repo` in the hub's cache, or in nbfuse's own folder `models`, else None.

    `wanted` is a file's name, or the quantisation in it. The newest revision goes first; a file
    that is still being fetched has no name yet.
    """
    revisions = _revisions(repo)
    model = repo.rpartition("/")[2].removesuffix("-GGUF")
    for folder in (*revisions, data_folder() / "models"):
        for path in sorted(folder.glob("**/*.gguf")) if folder.is_dir() else ():
            own = folder in revisions or path.name.casefold().startswith(model.casefold())
            if own and is_wanted(path.relative_to(folder).as_posix(), wanted) and path.exists():
                return path
    return None


def kept_folder(repo: str) -> Path | None:
    """The folder of `repo` with weights for MLX, in the hub's cache or in nbfuse's own folder."""
    own = data_folder() / "models" / repo.rpartition("/")[2]
    return next((folder for folder in (*_revisions(repo), own) if is_whole(folder)), None)


def _revisions(repo: str) -> list[Path]:
    """What the hub's cache holds of `repo`, the newest first."""
    snapshots = hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots"
    found = [path for path in snapshots.iterdir() if path.is_dir()] if snapshots.is_dir() else []
    return sorted(found, key=lambda folder: -folder.stat().st_mtime)


def is_wanted(name: str, wanted: str) -> bool:
    """Whether a file of a repository is the one called so, or the model in that quantisation."""
    if wanted.endswith(".gguf"):
        return name == wanted
    stem = name.rpartition("/")[2].casefold().removesuffix(".gguf")
    return stem.endswith(f"-{wanted.casefold()}") and not stem.startswith("mmproj")


def elsewhere() -> dict[str, Path]:
    """What Ollama and LM Studio have fetched: `ollama/llama3.2:3b`, `lmstudio/owner/repo/file`."""
    return dict(_ollama()) | dict(_lm_studio())


def _ollama() -> Iterator[tuple[str, Path]]:
    home = Path(os.environ.get("OLLAMA_MODELS", "~/.ollama/models")).expanduser()
    manifests = home / "manifests" / "registry.ollama.ai" / "library"
    for manifest in sorted(manifests.glob("*/*")):
        try:
            layers = json.loads(manifest.read_bytes())["layers"]
            digest = next(
                str(layer["digest"])
                for layer in layers
                if layer["mediaType"] == "application/vnd.ollama.image.model"
            )
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            continue  # not a manifest that we know
        path = home / "blobs" / digest.replace(":", "-")
        if path.is_file():
            yield f"ollama/{manifest.parent.name}:{manifest.name}", path


def _lm_studio() -> Iterator[tuple[str, Path]]:
    for home in ("~/.lmstudio/models", "~/.cache/lm-studio/models"):
        folder = Path(home).expanduser()
        for path in sorted(folder.glob("*/*/*.gguf")):
            if not path.name.startswith("mmproj"):
                yield f"lmstudio/{path.relative_to(folder).with_suffix('').as_posix()}", path
        for path in sorted(folder.glob("*/*/config.json")):
            if is_whole(path.parent):
                yield f"lmstudio/{path.parent.relative_to(folder).as_posix()}", path.parent
