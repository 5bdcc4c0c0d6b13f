"""debate: members that differ challenge each other on what they dispute, then a vote or the judge.

What was said first stays on the ballot. The debate stops once all agree, nobody changes, somebody
returns to what it had left, two rounds are over, or the budget or the time is used up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from nbfuse.core.errors import ModelError
from nbfuse.core.events import AnalysisReady, JudgeFailed, RoundFinished, RoundStarted
from nbfuse.core.types import Answer, Position, Verdict
from nbfuse.fusion.analysis import analyse, named
from nbfuse.fusion.argue import Dispute, challenge, same
from nbfuse.fusion.candidates import Candidate, candidate, candidates, distinct, shuffled
from nbfuse.fusion.judge import ballot_of, decide
from nbfuse.fusion.modes.outcome import Outcome, agreed
from nbfuse.fusion.poll import count, minority
from nbfuse.fusion.price import MERGE_WRITES, MOST_ROUNDS, tokens_in
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import alike, run_code
from nbfuse.fusion.window import squeezed

ROUND_SHARE = 0.5  # of what is left of the deadline: the rest is for what follows
REPLY = 600  # tokens of a member's reply
LEAST_ROUND_S = 1.0  # in which a model can reply at all


async def debate(run: Run, answers: Sequence[Answer]) -> Outcome:
    """Consensus where there is one; else up to two rounds of challenges, and what they come to."""
    if (outcome := agreed(run, answers, everybody=True)) is not None:
        return outcome
    first = candidates(answers, run.plan.prompt)
    dispute = await _dispute(run, first)
    if dispute is None:
        run.notes.append("Nothing is disputed, so nobody was asked again.")
        verdict, best = await decide(run, distinct(first), first)
        return Outcome(best.text, verdict, run.analysis)
    rounds = await _rounds(run, first, dispute)
    everything = tuple(position for one in rounds for position in one)
    last = _ends(everything)
    text, verdict = await _outcome(run, first, last)
    return Outcome(text, verdict, run.analysis, everything, minority=minority(run, text, last))


def _ends(everything: Sequence[Position]) -> list[Position]:
    """Where each member ended, with all that happened to it on the way."""
    ends: dict[str, Position] = {}
    for position in everything:
        one = ends.get(position.member, position)
        ends[position.member] = msgspec.structs.replace(
            position,
            before=one.before,
            changed=(one.changed or position.changed) and not same(one.before, position.after),
            located=one.located or position.located,
            conformed=one.conformed or position.conformed,
            why=one.why if one.changed and not position.changed else position.why,
            case=position.case or one.case,
            objections=tuple(dict.fromkeys((*one.objections, *position.objections))),
        )
    return list(ends.values())


async def _dispute(run: Run, first: Sequence[Candidate]) -> Dispute | None:
    """What is disputed: answers that can be compared, else the topics that an analysis finds.

    None where the analysis finds that no answer contradicts another.
    """
    groups = alike(run, [one.text for one in first])
    if groups is not None or run.plan.judge.info.form != "full":
        leaders = distinct(first) if groups is None else [first[group[0]] for group in groups]
        return Dispute(shuffled(leaders, run.shuffle_seed(), run.tag()))
    ballot = squeezed(run, ballot_of(run, first), MERGE_WRITES[1])
    try:
        run.analysis = named(await analyse(run, ballot), ballot)
    except ModelError as error:
        run.emit(JudgeFailed(judge=run.plan.judge.label, failure=error.failure()))
        run.notes.append(f"No analysis, so whole answers are debated: {error.message}")
        return Dispute(shuffled(distinct(first), run.shuffle_seed(), run.tag()))
    run.emit(AnalysisReady(analysis=run.analysis))
    return Dispute(ballot, run.analysis.contradictions) if run.analysis.contradictions else None


async def _rounds(
    run: Run, first: Sequence[Candidate], dispute: Dispute
) -> list[tuple[Position, ...]]:
    """Where everybody stood after each round, until a reason to stop, which is noted."""
    members = {member.label: member for member in run.plan.members}
    now = list(first)
    left: dict[str, list[str]] = {one.member: [] for one in first}  # what each has said before
    rounds: list[tuple[Position, ...]] = []
    while True:
        number = len(rounds) + 1
        run.emit(RoundStarted(round=number, disputed=tuple(c.member for c in now)))
        end = run.clock() + ROUND_SHARE * (run.plan.pool.deadline_s - run.clock())
        positions = tuple(
            await asyncio.gather(
                *(challenge(run, members[c.member], c, dispute, number, end) for c in now)
            )
        )
        rounds.append(positions)
        for changed in (p for p in positions if p.changed):
            await run_code(run, Answer(member=changed.member, spec="", text=changed.after))
        run.emit(RoundFinished(round=number, positions=positions))
        why = _why_stop(run, positions, left, number)
        if why:
            run.notes.append(f"The debate ended after round {number}: {why}.")
            return rounds
        for position in positions:
            left[position.member].append(position.before)
        here = [p for p in positions if not p.lost]  # who is gone stays on the ballot alone
        now = [candidate(p.member, p.after, run.plan.prompt) for p in here]
        dispute = Dispute(shuffled(distinct(now), run.shuffle_seed(), run.tag()))


def _why_stop(
    run: Run, positions: Sequence[Position], left: dict[str, list[str]], number: int
) -> str:
    texts = [position.after for position in positions]
    groups = alike(run, texts)
    one_group = groups is not None and len(groups) == 1
    if one_group or all(same(texts[0], text) for text in texts[1:]):
        return "all agree"
    if not any(position.changed for position in positions):
        return "nobody changed"
    if any(same(p.after, old) for p in positions if p.changed for old in left[p.member]):
        return "somebody went back to what it had left"
    if number == MOST_ROUNDS:
        return f"{MOST_ROUNDS} rounds are the most"
    reads = tokens_in(run.plan.prompt) + sum(map(tokens_in, texts))
    if not run.affords(run.plan.members, reads, REPLY):
        return "the budget leaves nothing for another round"
    if ROUND_SHARE * (run.plan.pool.deadline_s - run.clock()) < LEAST_ROUND_S:
        return "the deadline is near"
    return ""


async def _outcome(
    run: Run, first: Sequence[Candidate], last: Sequence[Position]
) -> tuple[str, Verdict]:
    """What most votes over both ends of the debate say, else what the judge says of all of it."""
    counted = count(run, first, last)
    if counted is not None:
        verdict = Verdict(
            decided_by="agreement",
            best=counted.member,
            margin="clear",
            confidence="medium",
            reason=f"After the debate {counted.member}'s answer has {counted.votes:g} of "
            f"{counted.of:g} votes, over what was said first and last.",
        )
        return counted.text, verdict
    moved = [candidate(p.member, p.after, run.plan.prompt) for p in last if p.changed]
    said = [*first, *moved]
    argued = [_with_remarks(one, last) for one in distinct(said)]
    verdict, best = await decide(run, argued, said)
    return best.text, verdict


def _with_remarks(one: Candidate, positions: Sequence[Position]) -> Candidate:
    """A candidate with the strongest argument for it, and what others have shown against it."""
    held = [p for p in positions if same(p.after, one.text) and p.case]
    remarks = [f"For: {p.case}" for p in held[:1]]
    against = [o for p in positions for o in p.objections if o.quote in one.text]
    remarks += [f"Against: “{objection.quote}”: {objection.why}" for objection in against[:1]]
    return one._replace(remarks=tuple(remarks))
