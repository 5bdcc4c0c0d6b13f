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

    @property
    def clearly_better(self) -> bool:
        """Whether it leads the vote by more than a standard error, as luck alone rarely does.

        As if the two erred independently, which is the cautious way: they don't.
        """
        shares = [one / max(1, self.asked) for one in (self.right, self.vote_right)]
        error = math.sqrt(self.asked * sum(share * (1 - share) for share in shares))
        return self.right - self.vote_right > error


class Measured(msgspec.Struct, frozen=True):
    """Shares of right answers by model spec and by class of agreement, and what was worth it.

    `judges` are records on questions that members disputed, by the judge's spec; `weighing` is that
    of a weighed vote against one in which all members count alike, `alone` that of the best member
    by itself against the better one of these votes, by its spec.
    """

    models: Mapping[str, Share] = {}
    classes: Mapping[str, Share] = {}
    judges: Mapping[str, Record] = {}
    weighing: Record | None = None
    alone: Mapping[str, Record] = {}

    def weights(self, specs: Sequence[str]) -> tuple[float, ...]:
        """What a vote of each model counts: the log-odds of its accuracy; 1 each without data.

        Optimal where members err independently (Nitzan and Paroush 1982; arXiv:2510.01499). Where
        they do not, and the best member alone was right more often than any vote, it outweighs all
        others: weak members that agree on the same mistake don't outvote it.
        """
        weights = self._by_odds(specs)
        best = self._better_alone(specs)
        if best is None:
            return weights
        others = sum(w for spec, w in zip(specs, weights, strict=True) if spec != best)
        most = max(weights)
        return tuple(
            others + most if spec == best else w for spec, w in zip(specs, weights, strict=True)
        )

    def _better_alone(self, specs: Sequence[str]) -> str | None:
        """The member that no vote has been as good as, if there is one."""
        leads = {
            spec: record.right - record.vote_right
            for spec, record in self.alone.items()
            if spec in specs and record.asked >= ENOUGH
        }
        best = max(leads, key=leads.__getitem__, default=None)
        return best if best is not None and leads[best] > 0 else None

    def _by_odds(self, specs: Sequence[str]) -> tuple[float, ...]:
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
