"""What the head of a GGUF file says of its model, read in milliseconds and without its weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from nbfuse.core.errors import ModelFileError

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
# weights in a block of each type and the bytes of one; what is missing is newer than this table
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    29: (256, 56),
    30: (1, 2),
    39: (32, 17),
}
REPACKED = frozenset({2, 12, 20})  # Q4_0, Q4_K, IQ4_NL: llama.cpp keeps a second copy of these


class Header(NamedTuple):
    """The settings of a model, how many bytes its tensors take by type, and in all.

    `mlx` is 0 for a GGUF file; for a folder, whose settings are said in the words of GGUF, it is
    how many bytes MLX keeps for each number in its cache.
    """

    settings: dict[str, object]
    bytes_by_type: dict[int, int]
    size: int
    mlx: int = 0

    @property
    def architecture(self) -> str:
        """Its family, as llama.cpp calls it."""
        return str(self.settings.get("general.architecture", ""))

    def number(self, name: str, default: int = 0) -> int:
        """A setting of the architecture; of one for each layer the greatest."""
        value = self.settings.get(f"{self.architecture}.{name}", default)
        if isinstance(value, list):
            value = max(value, default=default)
        return int(value) if isinstance(value, int | float) else default

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return int(str(self.settings.get("tokenizer.ggml.tokens", 0)))


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self.at = data, 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self._data, self.at)
        self.at += struct.calcsize(form)
        return value  # type: ignore[no-any-return]  # a float only where a setting is one

    def text(self) -> str:
        length = self.take("Q")
        if self.at + length > len(self._data):
            raise struct.error("a text is longer than the file")
        self.at += length
        return self._data[self.at - length : self.at].decode("utf-8", errors="replace")

    def value(self, kind: int) -> object:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.take(_SCALARS[kind])
        inner, count = self.take("I"), self.take("Q")
        if inner == _STRING:  # a vocabulary: only how large it is
            for _ in range(count):
                length = self.take("Q")
                self.at += length
            return count
        form = _SCALARS[inner]
        values = struct.unpack_from(f"<{count}{form}", self._data, self.at)
        self.at += count * struct.calcsize(form)
        return list(values)


def read_header(path: Path) -> Header:
    """The head of the file; raises `ModelFileError` where it is none, or is cut off."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data)
    except (OSError, ValueError) as error:
        reason = str(error)
    except (struct.error, OverflowError):
        reason = "its head is cut off"
    except KeyError as error:
        reason = f"it holds values of the unknown type {error}"
    raise ModelFileError(
        f"{path.name} is not a whole GGUF file: {reason}.",
        "Fetch it again; a download that broke off looks like this.",
    )


def _read(data: mmap.mmap) -> Header:
    if data[:4] != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    reader = _Reader(data)
    reader.at = 4
    version = reader.take("I")
    if version < 2:
        raise ValueError(f"version {version} of the format is too old")
    tensors, settings = reader.take("Q"), reader.take("Q")
    found: dict[str, object] = {}
    for _ in range(settings):
        name = reader.text()
        found[name] = reader.value(reader.take("I"))
    sizes: dict[int, int] = {}
    last = 0
    for _ in range(tensors):
        reader.text()
        count = 1
        for _ in range(reader.take("I")):
            count *= reader.take("Q")
        kind, offset = reader.take("I"), reader.take("Q")
        weights, block = _BLOCKS[kind]
        size = count // weights * block
        sizes[kind] = sizes.get(kind, 0) + size
        last = max(last, offset + size)
    alignment = int(str(found.get("general.alignment", 32)))
    begin = -(-reader.at // alignment) * alignment
    if begin + last > len(data):
        raise ValueError(f"it should have {begin + last:,} bytes and has {len(data):,}")
    return Header(found, sizes, len(data))
