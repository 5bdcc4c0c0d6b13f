"""Will a model fit? What the engine will take, from the head of its file, against what is free.

The parts were measured with llama.cpp's server on Linux (tests/bench/memory.py compares again):
the mapped file, a second copy of the weights that it repacks, the KV cache, a buffer for each batch
of the prompt, and what the process itself and its vocabulary take.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from nbfuse.core.errors import ConfigError, OutOfMemoryError
from nbfuse.local.gguf import REPACKED, Header

MIB, GIB = 2**20, 2**30
BATCH, MLX_BATCH = 512, 128  # tokens of a prompt that are computed at once
PROCESS = 50 * MIB
TOKEN, MERGE = 200, 300  # bytes that the engine keeps for each entry of its vocabulary
MLX_PROCESS, MLX_TOKEN = 100 * MIB, 1400  # Python and its tokenizer are larger
RESERVE = 256 * MIB  # left for everybody else
LEAST_CONTEXT = 1024
KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32}  # for each number in the cache
_SLIDING = {"gemma3": 6, "gemma3n": 5}  # one layer in so many looks further than a window
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


class Setting(NamedTuple):
    """How a model is loaded: tokens of context for all slots, the cache's type, repacked or not."""

    context: int
    kv: Literal["f16", "q8_0"] = "f16"
    repack: bool = True


class Need(NamedTuple):
    """Bytes that a model takes, by what takes them."""

    weights: int
    repacked: int
    cache: int
    compute: int
    process: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def need(model: Header, setting: Setting) -> Need:
    """What `model` takes when it is loaded so and has read a prompt of a batch or more."""
    width, inner = model.number("embedding_length"), model.number("feed_forward_length")
    if model.mlx:
        return Need(
            weights=model.size,
            repacked=0,
            cache=_numbers_cached(model, setting.context) * model.mlx,
            compute=MLX_BATCH * 4 * (2 * inner + 8 * width),
            process=MLX_PROCESS + MLX_TOKEN * model.vocabulary,
        )
    merges = int(str(model.settings.get("tokenizer.ggml.merges", 0)))
    return Need(
        weights=model.size,
        repacked=sum(
            size
            for kind, size in model.bytes_by_type.items()
            if setting.repack and kind in REPACKED
        ),
        cache=int(_numbers_cached(model, setting.context) * KV_BYTES[setting.kv]),
        compute=BATCH * 4 * (2 * inner + 8 * width),
        process=PROCESS + TOKEN * model.vocabulary + MERGE * merges,
    )


def unused_words(model: Header) -> int:
    """Bytes for the next word after each token of a batch, which llama.cpp finds while it embeds.

    Models that were made to embed alone have no words to find.
    """
    made_for_it = any(word in model.architecture for word in ("bert", "embedding"))
    return 0 if made_for_it else BATCH * 4 * model.vocabulary


def _numbers_cached(model: Header, context: int) -> int:
    """How many numbers the cache holds: keys and values of each layer for each token it keeps."""
    heads = model.number("attention.head_count", 1)
    size = model.number("embedding_length") // max(1, heads)
    keys = model.number("attention.key_length", size)
    values = model.number("attention.value_length", size)
    layers = model.number("block_count")
    kept = layers * context
    if (every := _SLIDING.get(model.architecture)) is not None:
        near = layers - layers // every
        window = min(context, model.number("attention.sliding_window", context) + BATCH)
        kept = (layers - near) * context + near * window
    return kept * model.number("attention.head_count_kv", heads) * (keys + values)


def settings(model: Header, context: int) -> Iterator[Setting]:
    """The ways to load `model` with that context, the quickest first, the smallest last."""
    if model.mlx:  # which repacks nothing, and batches with caches of one kind only
        yield Setting(context, repack=False)
        return
    yield Setting(context)
    yield Setting(context, repack=False)
    yield Setting(context, "q8_0", repack=False)


def choose(name: str, model: Header, context: int, free: int) -> Setting:
    """The quickest way of loading `model` that fits into `free` bytes.

    Raises `OutOfMemoryError` with the longest context that would fit, if any does.
    """
    for setting in settings(model, context):
        if need(model, setting).total + RESERVE <= free:
            return setting
    *_, smallest = settings(model, context)
    longest = longest_context(model, smallest, free)
    hint = "Choose a smaller model or quantisation, or free some memory."
    if longest >= LEAST_CONTEXT:
        hint = f"A context of {longest:,} tokens would fit. {hint}"
    raise OutOfMemoryError(
        f"{name} needs {gib(need(model, smallest).total)} with a context of {context:,} tokens; "
        f"{gib(max(0, free - RESERVE))} are free for it.",
        hint,
        needed=need(model, smallest).total,
        available=free,
    )


def longest_context(model: Header, setting: Setting, free: int) -> int:
    """The longest context that fits into `free` bytes, in steps of 256 tokens, else 0."""
    low, high = 0, model.number("context_length", 2**20) // 256
    while low < high:
        middle = (low + high + 1) // 2
        if need(model, setting._replace(context=middle * 256)).total + RESERVE <= free:
            low = middle
        else:
            high = middle - 1
    return low * 256


def available() -> int:
    """Bytes that can be had: of the machine, of this container, and of what Metal may pin.

    Raises `ConfigError` where psutil is not installed.
    """
    try:
        import psutil
    except ImportError:
        raise ConfigError(
            "What is free can't be told without psutil.", "pip install 'nbfuse[local]'"
        ) from None
    memory = psutil.virtual_memory()
    limits = [int(memory.available), *_cgroup()]
    if sys.platform == "darwin":
        limits.append(_metal(memory.total))
    return min(limits)


def _cgroup() -> Iterator[int]:
    """What is left of a container's limit; its page cache can be had too, so it is added."""
    for most, used in _CGROUPS:
        try:
            limit = int(Path(most).read_text())
            taken = int(Path(used).read_text())
            stat = Path(used).with_name("memory.stat").read_text()
        except (OSError, ValueError):  # no such control group, or "max"
            continue
        cached = sum(
            int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file ")
        )
        yield max(0, limit - taken + cached)


def _metal(total: int) -> int:
    """The most that Metal pins: what the user has set, else its own share of the memory."""
    try:
        told = subprocess.run(
            ["sysctl", "-n", "iogpu.wired_limit_mb"], capture_output=True, text=True, check=True
        )
        if (chosen := int(told.stdout)) > 0:
            return chosen * MIB
    except (OSError, ValueError, subprocess.CalledProcessError):
        pass  # an older system: it has the default share
    return total * 2 // 3 if total <= 36 * GIB else total * 3 // 4


def gib(size: int) -> str:
    """A size for people."""
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / MIB:.1f} MiB"
