"""What one has to know to read a comparison: what was used again, left out, or failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from nbfuse.comparison.compact_review import readable
from nbfuse.comparison.dossier import Dossier
from nbfuse.comparison.evidence import Figures
from nbfuse.comparison.job import Job
from nbfuse.comparison.kept import Kept
from nbfuse.comparison.pricing import dollars
from nbfuse.comparison.take import Take

SPENT = "The budget was spent before its turn."  # why a reviewer has no take


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


def budget_notes(
    limit: Decimal | None, asked: int, wanted: int, takes: Sequence[Take], reviewers: int
) -> list[str]:
    """What a budget has left out."""
    unheard = len({take.reviewer for take in takes if take.why == SPENT})
    parts = [f"{wanted - asked} of {wanted} questions were not asked"] if asked < wanted else []
    parts += [f"{unheard} of {reviewers} reviewers were not heard"] if unheard else []
    return [f"The budget of ${limit} is spent: {' and '.join(parts)}."] if parts else []


def failure_notes(figures: Iterable[Figures]) -> list[str]:
    """Who failed how often, and how that is counted."""
    notes = []
    for one in figures:
        counted = ["count as wrong"] if one.graded else []
        if one.failed < one.asked:
            counted += ["are in no mean of times", "are paid for by the answered ones"]
        words = f", which {' and '.join(counted)}" if counted else ""
        if one.failed:
            notes.append(
                f"{one.contender} failed on {one.failed} of {one.asked} questions{words}: {one.why}"
            )
    return notes


def reading_notes(job: Job, dossiers: Sequence[Dossier], asked: int) -> list[str]:
    """What reviewers could not do, or read, of so many questions that were asked."""
    label, form = job.judge.label, job.judge.info.form
    if form == "none":
        return [f"{label} can't judge: nobody reviewed. Name another judge."]
    if form == "compact":
        return [
            f"{label} is too small to write reviews: there are marks alone, from how probable it "
            f"finds answers right, and no paragraphs. It read the answers to "
            f"{readable(len(job.reviewers), len(job.contenders) + 1, asked)} of {asked} questions."
        ]
    read = len({question.id for one in dossiers for question in one.shown})
    parts = [f"the answers to {read} of {asked} questions"] if read < asked else []
    parts += ["long texts without their middle"] if any(one.cut for one in dossiers) else []
    return [f"Reviewers read {' and '.join(parts)}."] if parts else []
