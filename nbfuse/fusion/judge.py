"""Chooses the best of several candidates: a judge that sees no names, asked in two opposite orders.

Judges are swayed by order (GPT-4 repeats 65 % of its verdicts after a swap: arXiv:2306.05685), so a
first place counts only if it holds in both. Where it does not, the two first ones are compared
alone, in both orders; what is still undecided then is a tie. The judge's failure never loses the
run: see `fallback`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from nbfuse.core.errors import BadResponseError, ModelError
from nbfuse.core.events import JudgeFailed, JudgeStarted
from nbfuse.core.measured import ENOUGH
from nbfuse.core.types import Margin, Score, Verdict
from nbfuse.fusion.candidates import Ballot, Candidate, distinct, opposite, request, shuffled
from nbfuse.fusion.compact import ACCEPTABLE, p_right_of_all
from nbfuse.fusion.fallback import tie_break, without_judge
from nbfuse.fusion.orders import in_both_orders
from nbfuse.fusion.price import VERDICT, tokens_in
from nbfuse.fusion.rubric import Reading, read_ballot
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import alike
from nbfuse.fusion.window import windows

# P(right) that makes a compact judge sure; what is a clear or a slight lead of its P(right) or of a
# full judge's P(best).
SURE, CLEAR_LEAD, SLIGHT_LEAD = 0.9, 0.3, 0.05
_MARGINS: tuple[Margin, ...] = ("none", "slight", "clear")


class Ranking(NamedTuple):
    """What came of the comparisons of some candidates: who leads whom, and how it came about."""

    best: Candidate
    second: Candidate | None
    tied: bool
    readings: tuple[Reading, ...]
    asked_twice: int
    flips: int

    @property
    def voice(self) -> Reading:
        """The reading that speaks for the outcome: one that puts the winner first."""
        return next((r for r in self.readings if r.best == self.best), self.readings[0])

    @property
    def none_acceptable(self) -> bool:
        """Whether every reading finds that none is good."""
        return all(reading.ruling.verdict.none_acceptable for reading in self.readings)


async def decide(
    run: Run, candidates: Sequence[Candidate], said: Sequence[Candidate] = ()
) -> tuple[Verdict, Candidate]:
    """The verdict over the candidates and the one that won; never fails for want of a judge.

    The judge sees each text once: between two that are the same it could only guess. `said` is all
    that was said, where the candidates are a choice of it: without a judge it counts who stands by
    what.
    """
    said = said or candidates
    candidates = distinct(candidates)
    if len(candidates) == 1:
        same = Verdict(
            decided_by="agreement",
            best=candidates[0].member,
            confidence="medium",
            reason="All members say the same.",
        )
        return same, candidates[0]
    judge = run.plan.judge
    # where nothing can be counted, a poor judge is better than none
    if (why := distrusted(run)) and alike(run, [one.text for one in said]) is not None:
        return await without_judge(run, said, why)
    try:
        match judge.info.form:
            case "full":
                return await _by_rubric(run, candidates, said)
            case "compact":
                return await decide_compactly(run, run.plan.prompt, candidates)
            case "none":
                raise BadResponseError(f"{judge.label} can't judge.", "Choose another judge.")
    except ModelError as error:
        run.emit(JudgeFailed(judge=judge.label, failure=error.failure()))
        return await without_judge(run, said, f"The judge failed ({error.message})")


def distrusted(run: Run) -> str:
    """Why the judge is not asked: on the user's own disputed questions a vote was about as good."""
    record = run.measured.judges.get(run.plan.judge.spec)
    if record is None or record.asked < ENOUGH or record.clearly_better:
        return ""
    return (
        f"{run.plan.judge.label} was not asked: on {record.asked} disputed questions of yours it "
        f"was right on {record.right}, and a vote on {record.vote_right}."
    )


async def _by_rubric(
    run: Run, those: Sequence[Candidate], said: Sequence[Candidate]
) -> tuple[Verdict, Candidate]:
    ranking, windowed = await _rank_all(run, those)
    best, second, how = ranking.best, ranking.second, ""
    if ranking.tied and second is not None:
        # a judge that contradicts itself each time has told nothing about anybody: which two it
        # named depends on the shuffle (62 right of 100 so, 96 where all may be taken)
        swayed = ranking.flips == ranking.asked_twice
        best, how = tie_break(run, those if swayed else [best, second], said)
        second = second if best == ranking.best else ranking.best
    voice = ranking.voice
    margin: Margin = "none" if ranking.tied else _margin(ranking)
    reason = voice.ballot.with_names(voice.ruling.reason)
    if how and second is not None:
        firsts = list(dict.fromkeys(reading.best.member for reading in ranking.readings))
        told = (
            f"chose {' in one order and '.join(firsts)} in the other" if firsts[1:] else "has a tie"
        )
        reason = f"The judge {told}; {best.member} was taken: {how}."
    if ranking.none_acceptable:
        run.notes.append(
            "No answer is acceptable to the judge: merge them, or ask stronger models."
        )
    sure = margin == "clear" and ranking.asked_twice and not ranking.flips
    verdict = Verdict(
        decided_by="judge",
        best=best.member,
        runner_up=second.member if second else None,
        margin=margin,
        confidence="medium" if sure and not ranking.none_acceptable else "low",
        none_acceptable=ranking.none_acceptable,
        reason=reason,
        scores=voice.scores,
        order=tuple(candidate.member for candidate in ranking.readings[0].ballot.candidates),
        seed=ranking.readings[0].ballot.seed,
        asked_twice=ranking.asked_twice,
        flips=ranking.flips,
        form="sliding window" if windowed else "full",
    )
    return verdict, best


async def _rank_all(run: Run, those: Sequence[Candidate]) -> tuple[Ranking, bool]:
    """The ranking of all, and whether the judge had to look at them a few at a time."""
    ballot = ballot_of(run, those)
    first, *rest = windows(run, ballot, VERDICT)
    ranking = await rank(run, first)
    asked, flips = ranking.asked_twice, ranking.flips
    for more in rest:
        field = (ranking.best, *more.candidates)
        ranking = await rank(run, more._replace(candidates=field, tag=run.tag()))
        asked, flips = asked + ranking.asked_twice, flips + ranking.flips
    return ranking._replace(asked_twice=asked, flips=flips), bool(rest)


async def rank(run: Run, ballot: Ballot, task: str = "verdict") -> Ranking:
    """Who of a ballot is best, in two opposite orders; raises a `ModelError` if neither came.

    Where they differ about the first place, those two are compared alone, if the budget allows.
    """
    readings = await _both_orders(run, ballot, task)
    asked, flips = int(len(readings) > 1), int(len({r.best for r in readings}) > 1)
    if flips and len(ballot.candidates) > 2 and affords_comparison(run, ballot):
        pair = tuple(dict.fromkeys(reading.best for reading in readings))
        alone = ballot._replace(candidates=pair, tag=run.tag())
        try:
            readings = await _both_orders(run, alone, "top two")
            asked += int(len(readings) > 1)
            flips += int(len({r.best for r in readings}) > 1)
        except ModelError as error:  # then it stays undecided between them
            run.emit(JudgeFailed(judge=run.plan.judge.label, failure=error.failure()))
    return _ranked(readings, asked, flips)


def affords_comparison(run: Run, ballot: Ballot) -> bool:
    """Whether the budget leaves room for one more comparison, in both orders."""
    reads = tokens_in(request(run.plan.prompt, ballot))
    return run.affords((run.plan.judges[0], run.plan.judges[-1]), reads, VERDICT)


def _ranked(readings: tuple[Reading, ...], asked: int, flips: int) -> Ranking:
    field = readings[0].ballot.candidates
    shares = {one: sum(r.share(one) for r in readings) / len(readings) for one in field}
    best = max(shares, key=shares.__getitem__)
    others = {one: share for one, share in shares.items() if one != best}
    second = max(others, key=others.__getitem__) if others else None
    if second is not None and not shares[second]:  # nobody has put it first: as the judge says
        second = readings[0].second if readings[0].second != best else second
    tied = second is not None and shares[best] - shares.get(second, 0.0) < SLIGHT_LEAD
    return Ranking(best, second, tied, readings, asked, flips)


async def _both_orders(run: Run, ballot: Ballot, task: str) -> tuple[Reading, ...]:
    """The judge's readings of a ballot and of the same the other way round."""
    orders = (ballot, opposite(ballot, run.tag()))
    return await in_both_orders(run, orders, task, partial(read_ballot, run))


def _margin(ranking: Ranking) -> Margin:
    """How far the best leads: by P(best) where it is known, else the least that a reading says."""
    second = ranking.second
    readings = ranking.readings
    if second is not None and all(r.shares is not None for r in readings):
        lead = sum(r.share(ranking.best) - r.share(second) for r in readings) / len(readings)
        return "clear" if lead >= CLEAR_LEAD else "slight" if lead >= SLIGHT_LEAD else "none"
    said = [r.ruling.verdict.margin for r in readings if r.best == ranking.best]
    return min(said, key=_MARGINS.index)


def ballot_of(run: Run, those: Sequence[Candidate]) -> Ballot:
    """The candidates as the judge has begun to read them, else shuffled by a seed on record."""
    if run.ahead is not None:
        return run.ahead.ballot(those)
    return shuffled(those, run.shuffle_seed(), run.tag())


async def decide_compactly(
    run: Run, question: str, candidates: Sequence[Candidate], part: int = 0
) -> tuple[Verdict, Candidate]:
    """The candidate that the compact judge finds likeliest to be right; raises a `ModelError`."""
    judge = run.plan.judge
    run.emit(JudgeStarted(judge=judge.label, task="check"))
    pairs = [(question, candidate.shown) for candidate in candidates]
    found = await p_right_of_all(run, judge, "check", pairs)
    ranked = sorted(zip(found, candidates, strict=True), key=lambda pair: -pair[0])
    (first, best), (second, runner_up) = ranked[0], ranked[1] if len(ranked) > 1 else (0.0, None)
    lead = first - second
    sure = first >= SURE and lead >= CLEAR_LEAD
    verdict = Verdict(
        decided_by="judge",
        best=best.member,
        runner_up=runner_up.member if runner_up else None,
        margin="clear" if lead >= CLEAR_LEAD else "slight" if lead >= SLIGHT_LEAD else "none",
        confidence="high" if sure else "medium" if first >= ACCEPTABLE else "low",
        none_acceptable=first < ACCEPTABLE,
        reason=f"{judge.label} finds it right with probability {first:.2f}.",
        scores=tuple(
            Score(member=candidate.member, p_right=round(p, 4), part=part)
            for p, candidate in zip(found, candidates, strict=True)
        ),
        order=tuple(candidate.member for candidate in candidates),
        form="compact",
    )
    return verdict, best
