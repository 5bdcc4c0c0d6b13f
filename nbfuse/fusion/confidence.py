"""How far an outcome can be trusted: three words, and a number where one was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nbfuse.core.measured import ENOUGH, Share, agreement_class
from nbfuse.core.types import Answer, Confidence, Verdict
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import compared

HIGH, MEDIUM = 0.9, 0.7  # share of right answers that the words stand for, where it is known


def grounded(run: Run, verdict: Verdict, answers: Sequence[Answer]) -> Verdict:
    """`verdict` with who stands behind what, and what such agreement was worth before.

    The number is the share of right answers among the user's own evaluated questions on which this
    pool's members agreed in the same way: all, most, or not.
    """
    voters = [answer for answer in answers if answer.judged and answer.usable]
    if len(voters) < 2:
        return verdict
    found = compared(run, voters)
    if found is None or not found.countable or run.plan.parts:
        return verdict
    support = tuple(len(group) for group in found.groups)
    verdict = msgspec.structs.replace(verdict, support=support)
    share = _share(run.measured.classes, agreement_class(support), run.spared > 0)
    if share is None or share.asked < ENOUGH or verdict.decided_by in ("stopped", "nobody"):
        return verdict
    word: Confidence = "high" if share.rate >= HIGH else "medium" if share.rate >= MEDIUM else "low"
    return msgspec.structs.replace(
        verdict, confidence=word, accuracy=share.right / share.asked, accuracy_of=share.asked
    )


def _share(classes: Mapping[str, Share], how: str, stopped: bool) -> Share | None:
    """What such agreement was worth; who was stopped would have agreed with it or not."""
    if not stopped:
        return classes.get(how)
    known = [classes[one] for one in ("unanimous", "majority") if one in classes]
    right, asked = sum(share.right for share in known), sum(share.asked for share in known)
    return Share(right, asked) if known else None
