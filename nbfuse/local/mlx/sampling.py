"""From log-probabilities to a token: the chain of llama.cpp's server, and what a grammar allows.

Called by the thread that computes only, since MLX's streams belong to a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

from nbfuse.local.mlx.job import Wish

# llama.cpp's own, so that a model does not change its manner with the engine
TEMPERATURE, TOP_P, TOP_K, MIN_P = 0.8, 0.95, 40, 0.05

Sampler = Callable[[mx.array], mx.array]


def sampler(wish: Wish, seed: int, index: int) -> Sampler:
    """What draws the tokens of sample `index`, from a sequence of its own that `seed` begins."""
    temperature = TEMPERATURE if wish.temperature is None else wish.temperature
    top_p = TOP_P if wish.top_p is None else wish.top_p
    if temperature <= 0:
        return lambda logprobs: mx.argmax(logprobs, axis=-1)
    keys = [mx.random.split(mx.random.key(seed), index + 1)[index]]

    def draw(logprobs: mx.array) -> mx.array:
        likely = apply_top_k(logprobs, min(TOP_K, logprobs.shape[-1] - 1))
        if top_p < 1:
            likely = apply_top_p(likely, top_p)
        likely = apply_min_p(likely, MIN_P)
        keys[0], key = mx.random.split(keys[0])
        return mx.random.categorical(likely * (1 / temperature), key=key)

    return draw


class Obey:
    """A logits processor that leaves what a llguidance matcher allows; one for each sample."""

    def __init__(self, matcher: Any, prompt_tokens: int) -> None:
        self._matcher, self._read = matcher.deep_copy(), prompt_tokens

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        """`logits` with what may not come next at minus infinity; `tokens` is all so far."""
        new = tokens[self._read :].tolist()
        self._read += len(new)
        if new:
            self._matcher.consume_tokens(new)
        allowed = np.unpackbits(
            np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8), bitorder="little"
        )
        mask = np.zeros(logits.shape[-1], dtype=bool)
        size = min(len(mask), len(allowed))
        mask[:size] = allowed[:size]
        return mx.where(mx.array(mask)[None], logits, -mx.inf)
