"""What one has to know to read a comparison: what was used again, left out, or failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from nbfuse.comparison.dossier import Dossier
from nbfuse.comparison.evidence import Figures
from nbfuse.comparison.job import Job
from nbfuse.comparison.kept import Kept
from nbfuse.comparison.pricing import dollars


def call_notes(kept: Kept, spent: Decimal, unpriced: int) -> list[str]:
    """Which calls were not made, of which the price is not known, and what was not kept."""
    notes = []
    if kept.reused:
        notes.append(
            f"{kept.reused} of {kept.reused + kept.bought} calls had been made before and were "
            "used again."
        )
    if unpriced:
        notes.append(
            f"The price of {unpriced} calls is not known; what was spent without them is "
            f"{dollars(spent)}."
        )
    return [*notes, *filter(None, [kept.trouble])]


def budget_notes(limit: Decimal | None, asked: int, wanted: int) -> list[str]:
    """What a budget has left out."""
    if asked == wanted:
        return []
    return [
        f"The budget of ${limit} is spent: {wanted - asked} of {wanted} questions were not asked."
    ]


def failure_notes(figures: Iterable[Figures]) -> list[str]:
    """Who failed how often, and how that is counted."""
    return [
        f"{one.contender} failed on {one.failed} of {one.asked} questions, which count as wrong, "
        f"are in no mean of times, and whose price the answered ones bear: {one.why}"
        for one in figures
        if one.failed
    ]


def reading_notes(job: Job, dossiers: Sequence[Dossier]) -> list[str]:
    """What reviewers could not do or read."""
    label, form = job.judge.label, job.judge.info.form
    if form == "none":
        return [f"{label} can't judge: nobody reviewed. Name another judge."]
    if form == "compact":
        return [
            f"{label} is too small to write reviews: there are marks alone, from how probable it "
            "finds answers right, and no paragraphs."
        ]
    read, asked = sum(len(one.shown) for one in dossiers), sum(one.asked for one in dossiers)
    parts = [f"the answers to {read} of {asked} questions"] if read < asked else []
    parts += ["long texts without their middle"] if any(one.cut for one in dossiers) else []
    return [f"Reviewers read {' and '.join(parts)}."] if parts else []
