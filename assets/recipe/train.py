"""Train one tiny model: `python train.py ROLE FOLDER [STEPS]`.

ROLE is calc, units, atlas or judge; FOLDER holds tokenizer.json and, for the judge, said.json.
Writes ROLE.pt and ROLE.json (parameters, steps, seconds) there.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

import tokens
import torch
from lessons import Judge, Specialist
from network import Network, Shape
from tokenizers import Tokenizer
from torch.nn import functional

STEPS = {"calc": 2800, "units": 4200, "atlas": 1200, "judge": 3600}
SHAPES = {"judge": Shape(width=192, layers=4, heads=6, kv_heads=2, feed_forward=512)}
SEEDS = {"calc": 1, "units": 2, "atlas": 3, "judge": 4}
THREADS = {"judge": 2}  # specialists train two at a time, a core each; the judge alone
STEP_TOKENS = 3072
PROMPT_WEIGHT = 0.03  # a little language modelling of the question itself


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates for the hidden matrices (Jordan et al. 2024).

    https://kellerjordan.github.io/posts/muon/
    """

    def __init__(self, params, lr: float):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.mul_(0.95).add_(weight.grad)
                update = weight.grad.add(momentum, alpha=0.95)
                wide = update.shape[0] <= update.shape[1]
                x = update if wide else update.T
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
                x = x if wide else x.T
                scale = max(1, update.shape[0] / update.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * 0.01).add_(x, alpha=-group["lr"] * scale)


def batches(lessons, tokenizer: Tokenizer, rng: random.Random):
    """Lessons as padded id tensors with a weight per predicted token, sorted by length."""
    known: dict[str, list[int]] = {}

    def encode(text: str) -> list[int]:
        if text not in known:
            if len(known) > 400_000:
                known.clear()
            known[text] = tokenizer.encode(text, add_special_tokens=False).ids
        return known[text]

    def example():
        prompt, reply = lessons.lesson()
        head = [tokens.BOS, tokens.INST, *encode(prompt), tokens.END_INST]
        return head + encode(reply) + [tokens.EOS], len(head)

    while True:
        examples = sorted((example() for _ in range(1024)), key=lambda e: len(e[0]))
        groups, start = [], 0
        while start < len(examples):
            end = start + 1
            while end < len(examples) and (end - start + 1) * len(examples[end][0]) <= STEP_TOKENS:
                end += 1
            groups.append(examples[start:end])
            start = end
        rng.shuffle(groups)
        for group in groups:
            longest = max(len(ids) for ids, _ in group)
            ids = torch.full((len(group), longest), tokens.PAD)
            weights = torch.zeros(len(group), longest - 1)
            for row, (line, head) in enumerate(group):
                ids[row, : len(line)] = torch.tensor(line)
                weights[row, : head - 1] = PROMPT_WEIGHT
                weights[row, head - 1 : len(line) - 1] = 1.0
            yield ids, weights


def train(role: str, folder: Path, steps: int) -> None:
    torch.set_num_threads(THREADS.get(role, 1))
    torch.manual_seed(SEEDS[role])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    lessons = (
        Judge(folder / "said.json", SEEDS[role])
        if role == "judge"
        else Specialist(role, SEEDS[role])
    )
    network = Network(SHAPES.get(role, Shape()))
    hidden = [p for n, p in network.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in network.named_parameters() if p.ndim == 1 or "embed" in n]
    optimisers = {
        Muon(hidden, 0.02): 0.02,
        torch.optim.AdamW(rest, lr=4e-3, betas=(0.9, 0.98), weight_decay=0.0): 4e-3,
    }
    started, feed = time.time(), batches(lessons, tokenizer, random.Random(SEEDS[role]))
    for step in range(steps):
        done = step / steps
        factor = min(1.0, (step + 1) / 40) * (1.0 if done < 0.4 else max(0.01, (1 - done) / 0.6))
        for optimiser, rate in optimisers.items():
            optimiser.param_groups[0]["lr"] = rate * factor
        ids, weights = next(feed)
        losses = functional.cross_entropy(
            network(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        loss = (losses.view_as(weights) * weights).sum() / weights.sum()
        network.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
        if step % 100 == 0:
            print(
                f"{role} step {step} loss {loss.item():.4f} {time.time() - started:.0f} s",
                flush=True,
            )
    torch.save(
        {"shape": asdict(network.shape), "weights": network.state_dict()}, folder / f"{role}.pt"
    )
    report = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": steps,
        "cpu_seconds": round(time.process_time()),
        "seed": SEEDS[role],
    }
    (folder / f"{role}.json").write_text(json.dumps(report))
    print(role, report, flush=True)


def load(role: str, folder: Path) -> Network:
    """The network that `train` left in `folder`."""
    saved = torch.load(folder / f"{role}.pt")
    network = Network(Shape(**saved["shape"]))
    network.load_state_dict(saved["weights"], strict=False)
    return network.eval()


if __name__ == "__main__":
    role, folder = sys.argv[1], Path(sys.argv[2])
    train(role, folder, int(sys.argv[3]) if len(sys.argv) > 3 else STEPS[role])
