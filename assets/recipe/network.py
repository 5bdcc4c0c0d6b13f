"""A small Mistral-3-shaped decoder in PyTorch, and batched generation from it.

The shape (YaRN rotary scaling, grouped-query attention, gated SiLU, tied embeddings) is that of
Ministral 3 3B, so what loads these models in nbfuse is the code that loads the real one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of a network; the rotary numbers are Ministral 3's own."""

    vocab: int = 640
    width: int = 160
    layers: int = 4
    heads: int = 5
    kv_heads: int = 1
    head_dim: int = 32
    feed_forward: int = 448
    eps: float = 1e-5
    theta: float = 1e6
    yarn_factor: float = 16.0
    yarn_original: int = 16384
    yarn_fast: float = 32.0
    yarn_slow: float = 1.0
    attention_beta: float = 0.1
    context: int = 262144


def inverse_frequencies(shape: Shape) -> torch.Tensor:
    """Rotary frequencies under YaRN (Peng et al. 2023, arXiv:2309.00071)."""
    dim = shape.head_dim
    plain = 1.0 / shape.theta ** (np.arange(0, dim, 2) / dim)

    def turning_dim(turns: float) -> float:
        ratio = shape.yarn_original / (turns * 2 * math.pi)
        return dim * math.log(ratio) / (2 * math.log(shape.theta))

    low = max(math.floor(turning_dim(shape.yarn_fast)), 0)
    high = min(math.ceil(turning_dim(shape.yarn_slow)), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 1e-3), 0, 1)
    scaled = plain / shape.yarn_factor * ramp + plain * (1 - ramp)
    return torch.from_numpy(scaled.astype(np.float32))


class Norm(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(shape.width)), shape.eps

    def forward(self, x):
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotate(x, cos, sin):
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.attn_norm, self.ffn_norm = Norm(shape), Norm(shape)
        self.attn_q = nn.Linear(shape.width, queries, bias=False)
        self.attn_k = nn.Linear(shape.width, keys, bias=False)
        self.attn_v = nn.Linear(shape.width, keys, bias=False)
        self.attn_output = nn.Linear(queries, shape.width, bias=False)
        self.ffn_gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x, cos, sin, past):
        batch, length, _ = x.shape
        h = self.attn_norm(x)

        def heads(layer):
            return layer(h).view(batch, length, -1, self.shape.head_dim).transpose(1, 2)

        q, k, v = (
            rotate(heads(self.attn_q), cos, sin),
            rotate(heads(self.attn_k), cos, sin),
            heads(self.attn_v),
        )
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        group = self.shape.heads // self.shape.kv_heads
        out = functional.scaled_dot_product_attention(
            q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), is_causal=past is None
        )
        x = x + self.attn_output(out.transpose(1, 2).reshape(batch, length, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h)), (k, v)


class Network(nn.Module):
    """`network(ids)` gives logits; with `past` it continues from cached keys and values."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        self.register_buffer("frequencies", inverse_frequencies(shape), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                spread = 0.02 if name.startswith("embed") else 0.6 / math.sqrt(weight.shape[1])
                if name.endswith(("attn_output.weight", "ffn_down.weight")):
                    spread /= math.sqrt(2 * shape.layers)
                nn.init.normal_(weight, 0, spread)

    def run(self, ids, past=None):
        start = 0 if past is None else past[0][0].shape[2]
        positions = torch.arange(start, start + ids.shape[1]).float()
        angles = positions[:, None] * self.frequencies[None]
        cos, sin = angles.cos(), angles.sin()
        x, kept = self.embed(ids), []
        for i, block in enumerate(self.blocks):
            x, cache = block(x, cos, sin, None if past is None else past[i])
            kept.append(cache)
        return functional.linear(self.norm(x), self.embed.weight), kept

    def forward(self, ids):
        return self.run(ids)[0]


@torch.no_grad()
def generate(network: Network, prompts: list[list[int]], stop: int, temperature=0.0, most=48):
    """Continue each prompt until `stop`; prompts of equal length run as one batch."""
    done: list[list[int]] = [[] for _ in prompts]
    by_length: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    for rows in by_length.values():
        for start in range(0, len(rows), 512):
            part = rows[start : start + 512]
            logits, past = network.run(torch.tensor([prompts[i] for i in part]))
            alive = torch.ones(len(part), dtype=torch.bool)
            for _ in range(most):
                last = logits[:, -1]
                if temperature:
                    chosen = torch.multinomial((last / temperature).softmax(-1), 1)[:, 0]
                else:
                    chosen = last.argmax(-1)
                alive &= chosen != stop
                if not alive.any():
                    break
                for row, token, going in zip(part, chosen.tolist(), alive.tolist(), strict=True):
                    if going:
                        done[row].append(token)
                logits, past = network.run(chosen[:, None], past)
    return done
