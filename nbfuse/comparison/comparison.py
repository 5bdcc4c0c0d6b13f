"""`Comparison`: all that a comparison has found, whole enough to be read years later."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import msgspec

from nbfuse.comparison.apart import Apart
from nbfuse.comparison.decision import Decision
from nbfuse.comparison.evidence import Figures, Versus
from nbfuse.comparison.models import ModelFacts
from nbfuse.comparison.pricing import Pricing
from nbfuse.comparison.samples import Sample
from nbfuse.comparison.split import Split
from nbfuse.comparison.take import Bias, Take
from nbfuse.comparison.tally import Count
from nbfuse.core.errors import ConfigError
from nbfuse.core.types import SCHEMA, Price
from nbfuse.evaluation.questions import Question
from nbfuse.paths import write_atomically


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A contender: its name, one line on who it is, and what is known of its models."""

    name: str
    kind: str
    line: str
    licence: str
    category: str
    models: tuple[ModelFacts, ...]

    @property
    def local(self) -> bool:
        """Whether all of it runs on this machine."""
        return all(model.local for model in self.models)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Which one to ship, with the evidence; `decision.sentence` is what it comes to.

    `samples` has one row for each question and contender, `takes` one for each reviewer and
    contender; `reviewers` says what each of them wants. `reviewed_by` is the model that played
    them, `marks_only` tells that it was too small to write. `notes` are what one has to know to
    read it; `spent` are US dollars of what was new (None: not known), `reused` calls that had been
    made before.
    `to_json` and `from_json` keep it and bring it back, `save` writes the page.
    """

    sides: tuple[Side, ...]
    questions: tuple[Question, ...] = ()
    samples: tuple[Sample, ...] = ()
    figures: tuple[Figures, ...] = ()
    versus: tuple[Versus, ...] = ()
    apart: tuple[Apart, ...] = ()
    pricing: tuple[Pricing, ...] = ()
    reviewers: dict[str, str] = {}
    reviewed_by: str = ""
    marks_only: bool = False
    takes: tuple[Take, ...] = ()
    biases: tuple[Bias, ...] = ()
    splits: tuple[Split, ...] = ()
    decision: Decision = Decision(sentence="Under way.")
    votes: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()
    estimate: Price = Price(None, None)
    spent: Decimal | None = None
    reused: int = 0
    started_at: str = ""
    version: str = ""
    schema: int = SCHEMA

    @property
    def names(self) -> tuple[str, ...]:
        """The contenders, as votes know them."""
        return tuple(side.name for side in self.sides)

    @property
    def title(self) -> str:
        """The contenders in one line."""
        return " or ".join(self.names)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page as one HTML file that needs nothing else; raises `ConfigError`."""
        from nbfuse.comparison.document import document

        where = Path(path).expanduser()
        try:
            write_atomically(where, document(self))
        except OSError as error:
            raise ConfigError(
                f"{where} can't be written: {error.strerror}.", "Give another file."
            ) from error
        return where

    def __str__(self) -> str:
        from nbfuse.comparison.report import to_text

        return to_text(self)

    def __repr__(self) -> str:
        return f"<Comparison of {self.title}: {self.decision.sentence}>"

    def _repr_html_(self) -> str:
        from nbfuse.comparison.page import to_html

        return to_html(self)

    def _repr_markdown_(self) -> str:
        from nbfuse.comparison.report import to_markdown

        return to_markdown(self)
