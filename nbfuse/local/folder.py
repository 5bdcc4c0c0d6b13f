"""A folder of MLX weights, as its files tell without loading them: is it whole, how large, what."""

from __future__ import annotations

import json
from pathlib import Path

from nbfuse.core.errors import ModelFileError
from nbfuse.local.gguf import Header


def is_whole(folder: Path) -> bool:
    """Whether all that a model needs is there; a download that goes on has not all of it yet."""
    try:
        names = ["config.json", *_files(folder)]
        known = any(folder.glob("tokenizer*")) and len(names) > 1
        return known and all((folder / name).is_file() for name in names)
    except ModelFileError:
        return False


def _files(folder: Path) -> list[str]:
    """The names of its weights' files, as its index lists them where there are several."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        places = _json(index).get("weight_map")
        return sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
    return ["model.safetensors"]


def size(path: Path) -> int:
    """Bytes of the weights, in a file or in a folder."""
    if path.is_dir():
        return sum((path / name).stat().st_size for name in _files(path))
    return path.stat().st_size


def stamp(path: Path) -> tuple[object, ...]:
    """What changes when the weights do, in a file or in a folder."""
    those = [path / name for name in _files(path)] if path.is_dir() else [path]
    return (path, *((one.stat().st_mtime_ns, one.stat().st_size) for one in those))


def read_head(folder: Path) -> Header:
    """What `config.json` says, in the words of a GGUF file; raises `ModelFileError`."""
    config = _json(folder / "config.json")
    inner = config.get("text_config")  # of a model that also sees
    about = {**config, **inner} if isinstance(inner, dict) else config
    name = str(about.get("model_type", ""))
    words = {
        "block_count": "num_hidden_layers",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "attention.key_length": "head_dim",
        "attention.value_length": "head_dim",
        "attention.sliding_window": "sliding_window",
        "context_length": "max_position_embeddings",
    }
    settings: dict[str, object] = {
        f"{name}.{ours}": about[theirs]
        for ours, theirs in words.items()
        if about.get(theirs) is not None
    }
    settings |= {
        "general.architecture": name,
        "tokenizer.ggml.tokens": about.get("vocab_size", 0),
    }
    return Header(settings, {}, size(folder), mlx=_number_bytes(folder / _files(folder)[0]))


def _number_bytes(weights: Path) -> int:
    """Bytes of a number that MLX computes with: those of the weights that are not quantised.

    The format: https://huggingface.co/docs/safetensors
    """
    try:
        with weights.open("rb") as file:
            tensors = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        types = {one["dtype"] for name, one in tensors.items() if name.endswith("norm.weight")}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ModelFileError(
            f"{weights.name} is not a whole safetensors file: {error!r}.",
            "Fetch it again; a download that broke off looks like this.",
        ) from error
    return 4 if "F32" in types else 2


def _json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} can't be read: {error}.", "Fetch the model again.") from error
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} holds no settings.", "Fetch the model again.")
    return found
