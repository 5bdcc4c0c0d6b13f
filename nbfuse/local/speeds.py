"""How quickly each local model has answered on this machine, kept between sessions."""

from __future__ import annotations

import contextlib
import json

from nbfuse.paths import cache_folder, write_atomically

LEAST_TOKENS = 16  # below it the first token's wait hides the speed
_FILE = "speeds.json"


def keep_speed(model: str, tokens: int, seconds: float) -> None:
    """Remember tokens a second of an answer, if it was long enough to tell."""
    if tokens < LEAST_TOKENS or seconds <= 0:
        return
    with contextlib.suppress(OSError):  # a cache that can't be written costs the figure only
        known = speeds() | {model: round(tokens / seconds, 1)}
        write_atomically(cache_folder() / _FILE, json.dumps(known))


def speeds() -> dict[str, float]:
    """Tokens a second by model, as last measured here."""
    try:
        found = json.loads((cache_folder() / _FILE).read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
