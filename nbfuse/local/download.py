"""`nbfuse pull`: fetches a model's weights from the hub, through huggingface_hub (extra `hub`).

The hub's client resumes what broke off, honours HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE, and keeps
the file in the cache that other programs read too. It compares sizes, not contents: the checksum is
ours, and so is the look at the disk before anything is fetched.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nbfuse.core.errors import (
    ConfigError,
    DownloadError,
    ModelFileError,
    ModelNotFoundError,
    NbfuseError,
    PrivacyError,
    did_you_mean,
)
from nbfuse.local.catalog import LocalModel, find, from_hub
from nbfuse.local.kinds import prefers_mlx
from nbfuse.local.memory import gib
from nbfuse.local.weights import hub_cache, is_wanted
from nbfuse.paths import is_local_only

MARGIN = 100_000_000  # bytes of the disk that a download leaves free
MLX_FILES = (".json", ".safetensors", ".jinja", ".model", ".txt")


class Remote(NamedTuple):
    """A file of the hub: its repository, its revision, its size in bytes, and its checksum."""

    repo: str
    revision: str
    name: str
    size: int
    sha256: str


def pull(spec: str, say: Callable[[str], None], vision: bool = False) -> Path:
    """Fetch the weights of a model and tell where they are now.

    `spec` is `local:NAME[:QUANT]`, `hf:owner/repo/file.gguf`, or for MLX `hf:owner/repo`; a model
    of the catalog is fetched in the form that this machine runs best.
    With `vision` its part for pictures is fetched, too. `say` is told what is about to happen, the
    licence among it. Raises `ConfigError`, `PrivacyError`, `ModelNotFoundError`, `ModelFileError`
    or `DownloadError`.
    """
    model, name = _wanted(spec)
    if vision and not model.mmproj:
        raise ConfigError(f"{name} has no part for pictures.", "Leave out --vision.")
    whole = model.here and (not vision or model.projector() is not None)
    if whole and (path := model.path()) is not None:
        say(f"{name} is here already: {path}")
        return path
    if not (model.repo or model.mlx):
        raise ConfigError(f"{spec} comes with a package, not from the hub.", "See: nbfuse doctor")
    if is_local_only():
        raise PrivacyError(
            "This machine is local only (NBFUSE_LOCAL_ONLY).", "Unset it, or copy the file here."
        )
    with _in_our_words(name, say):
        remotes = _look_up(model, vision)
        _check_disk(remotes)
        what = " and ".join(one.name for one in remotes if one.name.endswith(".gguf"))
        what = what or f"{remotes[0].repo} for MLX"
        size = gib(sum(remote.size for remote in remotes))
        say(f"{name}: {what}, {size}, licence: {model.license or 'see its page'}")
        paths = [_fetch(remote) for remote in remotes]
    for path, remote in zip(paths, remotes, strict=True):
        _verify(path, remote)
    return paths[0] if paths[0].suffix == ".gguf" else paths[0].parent


def _wanted(spec: str) -> tuple[LocalModel, str]:
    scheme, _, name = spec.partition(":")
    if scheme == "hf" and name:
        return from_hub(name), name
    if scheme == "local" and name:
        return find(name), name
    raise ConfigError(
        f"{spec!r} can't be fetched.", "Name local:MODEL, hf:owner/repo/file.gguf or hf:owner/repo"
    )


def _look_up(model: LocalModel, vision: bool) -> list[Remote]:
    """The GGUF file, perhaps with the one for pictures, or all that a folder for MLX needs."""
    from huggingface_hub import HfApi

    mlx = bool(model.mlx) and not (model.quant or vision) and (prefers_mlx() or not model.repo)
    repo = model.mlx if mlx else model.repo
    about = HfApi().model_info(repo, files_metadata=True)
    remotes = [
        Remote(
            repo,
            about.sha or "main",
            file.rfilename,
            file.size or 0,
            (file.lfs.sha256 or "") if file.lfs else "",
        )
        for file in about.siblings or ()
    ]
    if mlx:
        found = [one for one in remotes if one.name.endswith(MLX_FILES) and "/" not in one.name]
        if not any(one.name.endswith(".safetensors") for one in found):
            raise ModelNotFoundError(f"{repo} holds no weights for MLX.", "Name another one.")
        return found
    files = {one.name: one for one in remotes if one.name.endswith(".gguf")}
    found = []
    for wanted in (model.file or model.quantisation, *([model.mmproj] if vision else [])):
        name = next((name for name in files if is_wanted(name, wanted)), None)
        if name is None:
            near = did_you_mean(wanted, files)
            raise ModelNotFoundError(f"{repo} has no file for {wanted}.", near)
        found.append(files[name])
    return found


def _check_disk(remotes: Sequence[Remote]) -> None:
    folder = hub_cache()
    begun = folder / f"models--{remotes[0].repo.replace('/', '--')}" / "blobs"
    have = sum(
        part.stat().st_size
        for remote in remotes
        for part in begun.glob(f"{remote.sha256 or '-'}*")  # whole, or .incomplete
    )
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    lacking = sum(remote.size for remote in remotes) - have
    if lacking + MARGIN > free:
        name = remotes[0].name if len(remotes) == 1 else remotes[0].repo
        raise DownloadError(
            f"{name} needs {gib(lacking)} on the disk, and {gib(free)} are free there.",
            f"Make room in {existing}, or set HF_HOME to a folder on a larger disk.",
        )


def _fetch(remote: Remote) -> Path:
    from huggingface_hub import hf_hub_download
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        """The hub's own bar wants ipywidgets in a notebook, and takes one argument more."""

        def __init__(self, *arguments: object, **more: object) -> None:
            more.pop("name", None)
            super().__init__(*arguments, **more)

    found = hf_hub_download(remote.repo, remote.name, revision=remote.revision, tqdm_class=Bar)
    return Path(found)


def _verify(path: Path, remote: Remote) -> None:
    """Refuse, and take away, a file that is not what the hub says it is."""
    if not remote.sha256:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != remote.sha256:
        for place in {path.resolve(), path}:
            place.unlink(missing_ok=True)
        raise ModelFileError(
            f"{remote.name} did not arrive as the hub has it: its checksum differs.",
            "It has been removed. Fetch it again; if that fails too, leave this mirror.",
        )


@contextmanager
def _in_our_words(name: str, say: Callable[[str], None]) -> Iterator[None]:
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise ConfigError(
            "Fetching needs huggingface_hub, which is not installed.", "pip install 'nbfuse[hub]'"
        ) from error
    again = "Run it again: it goes on where it stopped."
    try:
        yield
    except KeyboardInterrupt:
        say(again)
        raise
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
        hint = "Unset HF_HUB_OFFLINE." if offline else "Is the network up? Or set HF_ENDPOINT."
        raise DownloadError(f"{name} can't be fetched: the hub is out of reach.", hint) from error
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{name} is given only to those who have agreed to its licence.",
            "Agree on its page at the hub, and set HF_TOKEN.",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ModelNotFoundError(
            f"The hub has no repository for {name}.", "Check the name, or HF_ENDPOINT."
        ) from error
    except errors.HfHubHTTPError as error:
        raise DownloadError(f"The hub refused {name}: {error}.", "Try again later.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DownloadError(f"The disk is full: {name} is not whole.", again) from error
        raise DownloadError(f"{name} could not be fetched: {error}.", again) from error
    except NbfuseError:
        raise
    except Exception as error:  # its HTTP library is another one in each of its versions
        reason = str(error) or type(error).__name__
        raise DownloadError(f"The connection to the hub broke: {reason}.", again) from error
