"""A comparison before it begins: who is asked what, who reviews, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from nbfuse.comparison.compact_review import CALLS, NAME, compact_pool
from nbfuse.comparison.contenders import Contender
from nbfuse.comparison.dossier import MOST_SHOWN, are_enough
from nbfuse.comparison.models import ModelFacts
from nbfuse.comparison.review import called, pool_of, reply_tokens
from nbfuse.comparison.reviewers import Reviewer
from nbfuse.core.pool import Pool
from nbfuse.core.types import Answer, Price
from nbfuse.evaluation.asking import Store
from nbfuse.evaluation.grading import Grade
from nbfuse.evaluation.questions import Asked
from nbfuse.evaluation.voices import Panel
from nbfuse.fusion.plan import Member
from nbfuse.fusion.price import CHARACTERS_PER_TOKEN, SHORT_ANSWER, estimate
from nbfuse.fusion.window import RULES, SHARE

KNOWN = Answer(member="", spec="")  # stands for an answer that is there and costs nothing
MOST_READ = 15_000  # tokens of evidence in one review, however long the judge's context is


class Job(NamedTuple):
    """All that is settled before anybody is asked.

    `panels` holds the contenders that are asked, by name; `room` is how many characters of evidence
    a reviewer gets; `monthly` is how many questions a month has.
    """

    contenders: tuple[Contender, ...]
    asked: tuple[Asked, ...]
    grade: Grade | None
    panels: Mapping[str, Panel]
    facts: Mapping[str, tuple[ModelFacts, ...]]
    reviewers: tuple[Reviewer, ...]
    judge: Member
    local_only: bool
    monthly: int | None
    seed: int
    notes: tuple[str, ...]

    @property
    def compact(self) -> bool:
        """Whether the judge is too small to write."""
        return self.judge.info.form != "full"

    @property
    def review_pools(self) -> dict[str, Pool]:
        """How reviewers are asked, by the name under which their replies are kept."""
        if self.compact:
            return {NAME: compact_pool(self.judge.spec, self.local_only)}
        return {
            called(one.name): pool_of(one, self.judge.spec, self.local_only)
            for one in self.reviewers
        }

    @property
    def room(self) -> int:
        """Characters of questions and answers that a reviewer can read beside its reply."""
        tokens = MOST_READ
        if self.compact:  # it reads one answer at a time
            return tokens * CHARACTERS_PER_TOKEN
        if (context := self.judge.info.context) is not None:
            tokens = min(tokens, int(context * SHARE) - RULES - self._writes)
        return max(0, tokens) * CHARACTERS_PER_TOKEN

    @property
    def _writes(self) -> int:
        longest = max(self.reviewers, key=lambda one: len(one.criteria))
        return reply_tokens(longest, len(self.contenders) + 1)

    def price(self, store: Store) -> tuple[Price, Price]:
        """What asking may cost in US dollars, without what is kept; and that with all reviews."""
        asking = _total(self._asking(store))
        return asking, _total([asking, self._reviewing])

    def _asking(self, store: Store) -> list[Price]:
        prices = []
        for question, _ in self.asked:
            seen: set[str] = set()
            for name, panel in self.panels.items():
                voices = panel.voices(question.text)
                there = [
                    voice.key in seen or store.answer(question, voice) is not None
                    for voice in voices
                ]
                seen.update(voice.key for voice in voices)
                if store.result(question, name) is not None:
                    continue
                labels = zip(panel.labels, there, strict=True)
                given = {label: KNOWN for label, known in labels if known}
                plan = panel.plan._replace(prompt=question.text, given=given)
                prices.append(estimate(plan, checks=True))
        return prices

    @property
    def _reviewing(self) -> Price:
        calls = CALLS * len(self.reviewers)
        if self.judge.provider.local:
            return Price(Decimal(0), Decimal(0))
        info = self.judge.info
        if info.prompt_price is None or info.completion_price is None:
            return Price(None, None)
        read, many = len(self.asked), len(self.reviewers)
        read = read // many if are_enough(read, many) else read
        count = (len(self.contenders) + 1) * min(MOST_SHOWN, read)
        most = self.room // CHARACTERS_PER_TOKEN + RULES
        least = min(most, count * SHORT_ANSWER + RULES)
        return Price(
            calls * (least * info.prompt_price + self._writes // 2 * info.completion_price),
            calls * (most * info.prompt_price + self._writes * info.completion_price),
        )


def _total(prices: Sequence[Price]) -> Price:
    """All of them; not known as soon as one is not."""
    lows = [price.low for price in prices if price.low is not None]
    highs = [price.high for price in prices if price.high is not None]
    if len(lows) < len(prices) or len(highs) < len(prices):
        return Price(None, None)
    return Price(sum(lows, Decimal(0)), sum(highs, Decimal(0)))
