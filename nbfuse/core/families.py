"""Who made a model, as far as its name tells: models of one family err alike."""

from __future__ import annotations

import re

# by what a name begins with: who made the model
_FAMILIES = {
    "mistral": ("mistral", "ministral", "mixtral", "codestral", "magistral", "pixtral"),
    "openai": ("gpt", "o1", "o3", "o4", "chatgpt"),
    "anthropic": ("claude",),
    "google": ("gemini", "gemma"),
    "meta": ("llama",),
}


def family(spec: str) -> str:
    """Who made a model, as far as its name tells."""
    scheme, _, rest = spec.partition(":")
    name = rest.partition("@http")[0].lower()
    if scheme == "openrouter":
        return name.lstrip("~").partition("/")[0]
    last = name.rpartition("/")[2]
    for maker, beginnings in _FAMILIES.items():
        if last.startswith(beginnings):
            return maker
    return re.split(r"[^a-z]", last)[0] or last
