"""What fits where: a model's quantisations against this machine, and smaller ones."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from nbfuse.core.errors import ModelFileError, OutOfMemoryError
from nbfuse.local.catalog import LocalModel, Quant, find
from nbfuse.local.folder import read_head as read_folder
from nbfuse.local.gguf import Header, read_header
from nbfuse.local.memory import (
    GIB,
    LEAST_CONTEXT,
    Setting,
    choose,
    gib,
    longest_context,
    need,
    settings,
)

SYSTEM = 0.75 * GIB  # of a small machine: the system and a browser with little in it
SMALL = (4, 8)  # GiB of the machines that the table shows beside this one
_Q4_K_SHARE = 0.69  # of a Q4_K_M file, by bytes: the rest is kept in more bits


class Fit(NamedTuple):
    """One line of the table: a quantisation, its size, what it takes, and how it fits where."""

    quantisation: str
    size: str
    memory: str
    here: str
    small: tuple[str, ...]


def table(name: str, free: int) -> list[Fit]:
    """How each quantisation of a model fits into `free` bytes; raises `ModelNotFoundError`."""
    model = find(name)
    quants = model.quants or (Quant(model.quantisation or "the file", model.size or 0),)
    lines = []
    folder = (path := model.path()) is not None and path.is_dir()
    for quant in (Quant("for MLX", 0), *model.quants) if folder else quants:
        named = any(quant.name == known.name for known in model.quants)
        header = head(msgspec.structs.replace(model, quant=quant.name if named else ""))
        if header is None:
            continue
        lines.append(
            Fit(
                quant.name,
                gib(header.size),
                gib(need(header, next(settings(header, model.context))).total),
                _way(header, model.context, free),
                tuple(_way(header, model.context, int(g * GIB - SYSTEM)) for g in SMALL),
            )
        )
    return lines


def fits(model: LocalModel, free: int) -> bool | None:
    """Whether a model fits into `free` bytes; None where that can't be told."""
    try:
        header = head(model)
        if header is None:
            return None
        choose("", header, model.context, free)
    except OutOfMemoryError:
        return False
    except ModelFileError:
        return None
    return True


def head(model: LocalModel) -> Header | None:
    """The head of the model's file, or what it will be; None where nothing is known."""
    path = model.path()
    if path is not None and model.here:
        return read_head(path)
    shape, size = model.shape, model.size
    if shape is None or size is None:
        return None
    name = shape.architecture
    packed = int(size * _Q4_K_SHARE) if model.quantisation.startswith("Q4_K") else 0
    return Header(
        {
            "general.architecture": name,
            "tokenizer.ggml.tokens": shape.vocabulary,
            "tokenizer.ggml.merges": shape.merges,
            f"{name}.block_count": shape.layers,
            f"{name}.embedding_length": shape.width,
            f"{name}.feed_forward_length": shape.inner,
            f"{name}.attention.head_count_kv": shape.kv_heads,
            f"{name}.attention.key_length": shape.head_size,
            f"{name}.attention.value_length": shape.head_size,
            f"{name}.attention.sliding_window": shape.window,
            f"{name}.context_length": model.trained_context or model.context,
        },
        {12: packed},
        size,
    )


def read_head(path: Path) -> Header:
    """The head of weights in a GGUF file or a folder for MLX; raises `ModelFileError`."""
    return read_folder(path) if path.is_dir() else read_header(path)


def _way(header: Header, context: int, free: int) -> str:
    try:
        return _said(choose("", header, context, free))
    except OutOfMemoryError:
        *_, smallest = settings(header, context)
        longest = longest_context(header, smallest, free)
        if longest < LEAST_CONTEXT:
            return "no"
        return _said(smallest._replace(context=longest))


def _said(way: Setting) -> str:
    extras = [] if way.repack else ["plain"]
    extras += ["q8_0"] if way.kv == "q8_0" else []
    return f"{way.context:,} tokens" + (f" ({', '.join(extras)})" if extras else "")
