"""What the user's own evaluated questions have shown of models, judges and agreement.

`nbfuse.evaluate` measures it and the ledger keeps it; a run only reads it. Without it a run weighs
all members alike, and has words for its confidence but no number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

LEAST_WEIGHT = 0.1  # who is no better than chance says little, not nothing
ENOUGH = 20  # questions below which a share says nothing that one could act on


class Share(msgspec.Struct, frozen=True):
    """How many of the `asked` questions were answered right."""

    right: int
    asked: int

    @property
    def rate(self) -> float:
        """The share of right answers, drawn towards a half where few were asked (Laplace)."""
        return (self.right + 1) / (self.asked + 2)


class Record(msgspec.Struct, frozen=True):
    """On the same questions: how often one way to decide was right, and the vote without it."""

    right: int
    vote_right: int
    asked: int


class Measured(msgspec.Struct, frozen=True):
    """Shares of right answers by model spec and by class of agreement, and what was worth it.

    `judges` are records on questions that members disputed, by the judge's spec; `weighing` is that
    of a weighed vote against one in which all members count alike.
    """

    models: Mapping[str, Share] = {}
    classes: Mapping[str, Share] = {}
    judges: Mapping[str, Record] = {}
    weighing: Record | None = None

    def weights(self, specs: Sequence[str]) -> tuple[float, ...]:
        """What a vote of each model counts: the log-odds of its accuracy; 1 each without data.

        Optimal where members err independently (Nitzan and Paroush 1982; arXiv:2510.01499).
        """
        shares = [self.models.get(spec) for spec in specs]
        known = [share for share in shares if share is not None and share.asked >= ENOUGH]
        worse = self.weighing is not None and self.weighing.right < self.weighing.vote_right
        if worse or len(known) < len(shares):
            return (1.0,) * len(shares)
        odds = [math.log(share.rate / (1 - share.rate)) for share in known]
        # where some are mostly wrong, there are more than two answers to choose from: then the
        # weakest is about at chance, and what counts is how far above it the others are
        chance = min(0.0, *odds)
        return tuple(max(LEAST_WEIGHT, one - chance) for one in odds)


def agreement_class(groups: Sequence[int]) -> str:
    """`unanimous`, `majority` or `split`, from how many members stand behind each answer."""
    if len(groups) == 1:
        return "unanimous"
    return "majority" if 2 * max(groups, default=0) > sum(groups) else "split"
