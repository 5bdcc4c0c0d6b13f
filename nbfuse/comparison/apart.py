"""Whether two contenders can be told apart at all, before anybody says which is better.

Each of the ways in which answers may differ is put to an exact sign test over the questions; since
there are several, and several pairs, their p are held against Holm's steps (1979). Licence, size,
price list and privacy are no matter of chance: where these differ, the contenders do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from nbfuse.comparison.models import ModelFacts, alike
from nbfuse.comparison.samples import Sample
from nbfuse.evaluation.statistics import mcnemar

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
        return f"{self.one} and {self.other} cannot be told apart{why}."


def apart(
    one: str,
    other: str,
    samples: Mapping[str, Sequence[Sample]],
    facts: Mapping[str, Sequence[ModelFacts]],
    preferred: Mapping[str, float],
    pairs: int,
) -> Apart:
    """What tells two of the contenders apart, being one of so many `pairs`.

    `preferred` is by question how much more often reviewers found the answer of `one` best than
    that of `other`, from -1 to 1.
    """
    its = {sample.question: sample for sample in samples[other]}
    both = [(mine, its[mine.question]) for mine in samples[one] if mine.question in its]
    answered = [(a, b) for a, b in both if not a.failed and not b.failed]
    ways = {
        "accuracy": [a.mark - b.mark for a, b in both if a.mark is not None and b.mark is not None],
        "failures": [float(b.failed - a.failed) for a, b in both],
        "what reviewers prefer, question by question": preferred.values(),
        "price": [
            float(a.cost - b.cost) for a, b in both if a.cost is not None and b.cost is not None
        ],
        "time": [a.seconds - b.seconds for a, b in answered],
    }
    found = _holm({name: _sign_test(values) for name, values in ways.items()}, pairs)
    if not alike(facts[one], facts[other]):
        found.append("what is known of their models")
    enough = _sign_test([1.0] * len(both)) < LEVEL / (len(ways) * pairs)
    return Apart(one=one, other=other, by=tuple(found), enough=enough)


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
