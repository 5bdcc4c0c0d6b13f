"""Whether two contenders can be told apart at all, before anybody says which is better.

Each of the ways in which answers may differ is put to an exact sign test over the questions; since
there are several, and several pairs, their p are held against Holm's steps (1979). Licence, size,
price list and privacy are no matter of chance: where these differ, the contenders do. What
reviewers prefer does not count here: whoever has a favourite has it on all questions.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from nbfuse.comparison.models import ModelFacts, alike
from nbfuse.comparison.samples import Sample
from nbfuse.evaluation.statistics import mcnemar

LEAST_TIME = 0.1  # of the usual time, below which nobody notices
LEVEL = 0.05  # of taking chance for a difference, over all ways and pairs


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """What tells two contenders apart: `by` names it, and is empty where nothing does.

    `enough` is False where there are so few questions that no difference could have shown.
    """

    one: str
    other: str
    by: tuple[str, ...] = ()
    enough: bool = True

    @property
    def words(self) -> str:
        """It as a sentence."""
        if self.by:
            return f"{self.one} and {self.other} differ in {', '.join(self.by)}."
        why = "" if self.enough else ": there are too few questions for that"
        return f"{self.one} and {self.other} cannot be told apart by what was measured{why}."


def apart(
    one: str,
    other: str,
    samples: Mapping[str, Sequence[Sample]],
    facts: Mapping[str, Sequence[ModelFacts]],
    pairs: int,
) -> Apart:
    """What tells two of the contenders apart, being one of so many `pairs`."""
    its = {sample.question: sample for sample in samples[other]}
    both = [(mine, its[mine.question]) for mine in samples[one] if mine.question in its]
    answered = [(a, b) for a, b in both if not a.failed and not b.failed]
    ways = {
        "accuracy": [a.mark - b.mark for a, b in both if a.mark is not None and b.mark is not None],
        "failures": [float(b.failed - a.failed) for a, b in both],
        "price": [
            float(a.cost - b.cost) for a, b in both if a.cost is not None and b.cost is not None
        ],
        "time": _slower([a.seconds for a, _ in answered], [b.seconds for _, b in answered]),
    }
    found = _holm({name: _sign_test(values) for name, values in ways.items()}, pairs)
    if not alike(facts[one], facts[other]):
        found.append("what is known of their models")
    enough = _sign_test([1.0] * len(both)) < LEVEL / (len(ways) * pairs)
    return Apart(one=one, other=other, by=tuple(found), enough=enough)


def _slower(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The differences in time; none where half of all are within a tenth of each other."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    if not differences:
        return []
    middle = abs(statistics.median(differences))
    return differences if middle >= LEAST_TIME * statistics.median([*one, *other]) else []


def _sign_test(differences: Iterable[float]) -> float:
    """The p of the exact two-sided test that differences are as often positive as negative."""
    values = list(differences)
    return mcnemar(sum(value > 0 for value in values), sum(value < 0 for value in values))


def _holm(tests: Mapping[str, float], pairs: int) -> list[str]:
    """The names whose p stays below its step."""
    found: list[str] = []
    for done, name in enumerate(sorted(tests, key=tests.__getitem__)):
        if tests[name] >= LEVEL / ((len(tests) - done) * pairs):
            break
        found.append(name)
    return [name for name in tests if name in found]
