"""Panels of real answers, kept in tests/fusion/panels.jsonl and fused again from there.

The answers are those of the three tiny specialists and of SmolLM2 135M at several temperatures to
questions of three fields, as tests/bench/panels.py has asked them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "fusion" / "panels.jsonl"
SPECS = {
    **{name: f"local:tiny-{name}" for name in ("calc", "units", "atlas")},
    "smol": "local:smollm2-135m",
}


class Column(NamedTuple):
    """One sample of one model."""

    model: str
    temperature: float
    sample: int

    @property
    def name(self) -> str:
        """What its column is called."""
        return f"{self.model}-{self.temperature:g}-{self.sample}"


COLUMNS = [
    Column(model, temperature, sample)
    for model in SPECS
    for temperature, samples in ((0.0, 1), (0.8, 3 if model == "smol" else 5), (1.5, 5))
    for sample in range(samples)
    if model != "smol" or temperature < 1
]
