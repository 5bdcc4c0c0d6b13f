"""Who is asked: a model as a pool asks it, and a pool as it is evaluated or compared."""

from __future__ import annotations

from typing import NamedTuple

from nbfuse.core.pool import Pool, expand, labels
from nbfuse.core.types import to_json
from nbfuse.evaluation.questions import digest
from nbfuse.fusion.dispatch import SELF_PANEL_TEMPERATURE
from nbfuse.fusion.parts import split
from nbfuse.fusion.plan import Plan


class Voice(NamedTuple):
    """What makes an answer: a model, its settings, and which of several samples it is.

    `judge` is set where a pool's judge has questions of several parts asked one by one.
    """

    spec: str
    sample: int = 0
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    system: str | None = None
    judge: str | None = None

    @property
    def key(self) -> str:
        """What it is called in a journal."""
        return f"{self.spec} {digest(to_json(list(self)))}"


class Panel(NamedTuple):
    """A pool as it is evaluated: under its name, with what is known of it beforehand."""

    name: str
    pool: Pool
    plan: Plan

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its members."""
        return labels(self.specs)

    @property
    def specs(self) -> tuple[str, ...]:
        """The models of its members, one for each sample."""
        return expand(self.pool.members)

    def voices(self, question: str) -> tuple[Voice, ...]:
        """Who is asked, in the order of its members."""
        in_parts = (
            self.pool.mode == "merge"
            and self.plan.judge.info.form == "compact"
            and len(split(question)) > 1
        )
        judge = self.plan.judge.spec if in_parts else None
        specs = self.specs
        return tuple(
            self.voice(spec, specs[:i].count(spec), specs.count(spec) > 1, judge)
            for i, spec in enumerate(specs)
        )

    def voice(self, spec: str, sample: int, repeated: bool, judge: str | None = None) -> Voice:
        """One sample of a model, as this pool would ask for it."""
        pool, temperature, seed = self.pool, self.pool.temperature, self.pool.seed
        if repeated and temperature is None:
            temperature = SELF_PANEL_TEMPERATURE
        return Voice(
            spec=spec,
            sample=sample,
            temperature=temperature,
            top_p=pool.top_p,
            max_tokens=pool.max_tokens,
            seed=None if seed is None else seed + sample,
            system=pool.system,
            judge=judge,
        )
