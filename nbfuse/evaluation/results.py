"""What an evaluation comes to, as frozen structs that round-trip through JSON.

Marks and accuracies are shares of 1, money is US dollars (None for unknown), durations are seconds.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from nbfuse.core.measured import Measured
from nbfuse.evaluation.statistics import Difference

FUSED, GUARDED, BEST_SINGLE = "fused", "guarded", "best single"
SELF_PANEL, PLAIN_VOTE, ANCHORED_VOTE = "self-panel", "plain vote", "anchored vote"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one arm of a pool did on one question; `by` is whose words they are.

    `mark` is 0 to 1, None where the grader raised.
    """

    question: str
    pool: str
    arm: str
    by: str
    text: str
    mark: float | None
    cost: Decimal | None
    seconds: float
    calls: int


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """An arm over all graded questions: its accuracy with Wilson's interval, cost and latency.

    `versus` is its difference from the pool's best member on the same questions, None for that one.
    """

    arm: str
    asked: int
    accuracy: float
    low: float
    high: float
    versus: Difference | None
    mean_cost: Decimal | None
    total_cost: Decimal | None
    p50_s: float | None
    p95_s: float | None
    mean_calls: float


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge was looked at for: in `hits` of `of` cases, where `chance` is expected.

    `found` tells that it is more than chance brings (`p`, exact and one-sided).
    """

    name: str
    hits: int
    of: int
    chance: float
    p: float
    found: bool

    def __str__(self) -> str:
        said = f"{self.name}: {self.hits} of {self.of}"
        return f"{said} ({self.chance:.0%} by chance, p = {self.p:.2g})"


class PoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one pool did.

    `best` is the member that did best on all questions; the arm `best single` is chosen out of
    fold, and `out_of_fold` is what fusing gains over that. `broken` are questions that `best` had
    right and fusing made wrong, `mended` the reverse. `spared` are calls that stopping early,
    agreeing and not asking save, of the `calls` of all members and the judge; of the judge's
    comparisons `asked_twice` were made in both orders, and `flips` of them came out otherwise in
    the other one.
    """

    pool: str
    members: tuple[str, ...]
    specs: tuple[str, ...]
    judge: str
    mode: str
    best: str
    samples: int
    out_of_fold: Difference
    arms: tuple[Arm, ...]
    broken: tuple[str, ...]
    mended: tuple[str, ...]
    judged: int
    spared: int
    calls: int
    flips: int
    asked_twice: int
    biases: tuple[Bias, ...]
    measured: Measured
    sentence: str

    def arm(self, name: str) -> Arm | None:
        """The arm called `name`, None where it was not measured."""
        return next((arm for arm in self.arms if arm.arm == name), None)
