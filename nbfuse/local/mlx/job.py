"""What is asked of the thread that computes, and what it says back."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How answers are to be sampled; what is None is left to this server."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    n: int = 1
    cache_prompt: bool = True
    top_logprobs: int | None = None


class Told(NamedTuple):
    """A token of the sample of that number.

    `top` is what else could have stood there, as (token, log-probability).
    `finish` comes with the last one; `seen` is False for one that only marks the end.
    """

    sample: int
    token: int
    seen: bool = True
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()
    finish: str | None = None


class Job:
    """One request; the thread that computes fills `told` until each sample has finished.

    `prompt` is in tokens, `matcher` is llguidance's, of what the text must obey. Setting `left`
    drops the whole job, a number in `enough` that sample.
    """

    def __init__(self, prompt: list[int], wish: Wish, matcher: Any = None) -> None:
        self.prompt, self.wish, self.matcher = prompt, wish, matcher
        self.told: SimpleQueue[Told | Exception] = SimpleQueue()
        self.seed = 0
        self.cached = 0  # tokens of the prompt that were remembered
        self.read = False  # the prompt, by one of its samples
        self.left = False
        self.enough: set[int] = set()
