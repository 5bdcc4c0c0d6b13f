"""Pictures as they go into a prompt: data URLs, from files, figures and images in variables."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbfuse.core.errors import PromptError

MOST_BYTES = 20_000_000  # of one picture; providers refuse larger ones
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
}


def data_urls(pictures: Sequence[object] | object) -> tuple[str, ...]:
    """One or several pictures as `data_url` gives each."""
    several = pictures if isinstance(pictures, list | tuple) else [pictures]
    return tuple(map(data_url, several))


def data_url(picture: object) -> str:
    """A PNG, JPEG, GIF or WebP file by its path, its bytes, a matplotlib figure or a PIL image.

    Raises `PromptError` where it is none of these, can't be read or is too large.
    """
    data = _data(picture)
    kind = next((name for mark, name in _KINDS.items() if data.startswith(mark)), None)
    kind = "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else kind
    if kind is None:
        raise PromptError(
            f"{_named(picture)} is no picture that models read.", "Give PNG, JPEG, GIF or WebP."
        )
    if len(data) > MOST_BYTES:
        raise PromptError(
            f"{_named(picture)} has {len(data) / 1e6:.0f} MB; {MOST_BYTES / 1e6:.0f} are the most.",
            "Make it smaller.",
        )
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _data(picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        try:
            return Path(picture).expanduser().read_bytes()
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise PromptError(f"{_named(picture)}: {reason}.", "Check the path.") from None
    buffer = io.BytesIO()
    if hasattr(picture, "savefig"):  # a matplotlib figure
        picture.savefig(buffer, format="png", bbox_inches="tight")
    elif hasattr(picture, "get_figure"):  # its axes, which most plotting functions return
        return _data(picture.get_figure())
    elif hasattr(picture, "save") and hasattr(picture, "convert"):  # a PIL image
        usual = picture if picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else None
        (usual or picture.convert("RGB")).save(buffer, format="PNG")
    elif isinstance(getattr(picture, "data", None), bytes):  # IPython.display.Image
        return bytes(picture.data)
    else:
        raise PromptError(
            f"{_named(picture)} is no picture.",
            "Give a file's path, its bytes, a matplotlib figure or a PIL image.",
        )
    return buffer.getvalue()


def _named(picture: object) -> str:
    return str(picture) if isinstance(picture, str | Path) else f"A {type(picture).__name__}"
