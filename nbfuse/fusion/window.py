"""Makes what a judge has to read fit its context: fewer candidates at a time, else shorter ones.

The sliding window is that of listwise reranking (Sun et al. 2023, arXiv:2304.09542), turned round:
the winner of one window stays in the next.
"""

from __future__ import annotations

from nbfuse.fusion.candidates import Ballot, Candidate
from nbfuse.fusion.price import CHARACTERS_PER_TOKEN, tokens_in
from nbfuse.fusion.run import Run

SHARE = 0.8  # of the context that is used: four characters a token is only about right
RULES = 500  # tokens of the instructions to a judge and of the schema


def windows(run: Run, ballot: Ballot, writes: int) -> list[Ballot]:
    """The ballot in as few windows as each judge can read while it `writes` so many tokens.

    All but the first lack the place of the winner so far. Where even two candidates are too many,
    the middle of each is left out. What is done is noted.
    """
    room = _room(run, writes)
    sizes = sorted((len(one.shown) for one in ballot.candidates), reverse=True)
    if room is None or sum(sizes) <= room:
        return [ballot]
    at_once = max(2, max((n for n in range(len(sizes)) if sum(sizes[:n]) <= room), default=2))
    if sum(sizes[:2]) > room:
        ballot = _cut(run, ballot, room // 2)
    those = ballot.candidates
    if at_once < len(those):
        run.notes.append(
            f"{run.plan.judge.label} can't hold {len(those)} answers at once: "
            f"it compared {at_once} at a time."
        )
    starts = [0, *range(at_once, len(those), at_once - 1)]
    ends = [*starts[1:], len(those)]
    return [
        ballot._replace(candidates=those[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]


def squeezed(run: Run, ballot: Ballot, writes: int) -> Ballot:
    """The whole ballot for one reading, the middle of long candidates left out where it must be."""
    room = _room(run, writes)
    if room is None or sum(len(one.shown) for one in ballot.candidates) <= room:
        return ballot
    return _cut(run, ballot, room // len(ballot.candidates))


def _room(run: Run, writes: int) -> int | None:
    """Characters that the candidates may have together, None where no judge has a known limit."""
    known = [judge.info.context for judge in run.plan.judges if judge.info.context is not None]
    if not known:
        return None
    taken = RULES + tokens_in(run.plan.prompt) + writes
    return max(0, int(min(known) * SHARE) - taken) * CHARACTERS_PER_TOKEN


def _cut(run: Run, ballot: Ballot, most: int) -> Ballot:
    run.notes.append(
        f"For {run.plan.judge.label}, whose context is too small, "
        "the middle of long answers was left out."
    )
    return ballot._replace(candidates=tuple(_shortened(one, most) for one in ballot.candidates))


def _shortened(candidate: Candidate, most: int) -> Candidate:
    return candidate._replace(shown=shortened(candidate.shown, most))


def shortened(text: str, most: int) -> str:
    """A text of `most` characters: what is longer lacks its middle, and says so."""
    if len(text) <= most:
        return text
    mark = f"\n[… {len(text) - most:,} characters left out here …]\n"
    keep = max(0, most - len(mark)) // 2
    return text[:keep] + mark + text[len(text) - keep :]
