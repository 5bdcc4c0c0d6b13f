"""What decides where no judge does: it failed, or it could not choose between two.

Then agreement decides, then what was measured of the members, then likeness to the others, then the
anchor; and never the longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from nbfuse.core.measured import ENOUGH, Share
from nbfuse.core.types import Answer, Verdict
from nbfuse.fusion.agreement import by_fields
from nbfuse.fusion.candidates import Candidate
from nbfuse.fusion.likeness import embed, medoid
from nbfuse.fusion.run import Run
from nbfuse.fusion.vote import alike, compared, weights


async def without_judge(
    run: Run, those: Sequence[Candidate], why: str
) -> tuple[Verdict, Candidate]:
    """As `fall_back`, with free texts compared by embedding where the pool names a model for it."""
    texts = [candidate.text for candidate in _voters(those).values()]
    if run.plan.embedding is not None and len(texts) > 2 and alike(run, texts) is None:
        await embed(run, texts)
    return fall_back(run, those, why)


def fall_back(run: Run, those: Sequence[Candidate], why: str) -> tuple[Verdict, Candidate]:
    """The best that can be said without a judge, and `why` there was none.

    Whole answers go before broken ones; of a member that has changed its answer the last counts.
    """
    anchor = run.plan.anchor.label
    voters = _voters(those)
    answers = [Answer(member=c.member, spec="", text=c.text) for c in voters.values()]
    found = compared(run, answers)
    weigh = weights(run)
    fields = by_fields(answers, anchor, weigh) if found and found.kind == "json" else None
    vectors = [run.vectors[one.text] for one in answers if one.text in run.vectors]
    embedded = len(vectors) == len(answers)
    middle = medoid(answers, vectors if embedded else ())
    if found is not None and len(found.groups[0]) > 1:
        group = found.groups[0]
        member, how = anchor if anchor in group else group[0], f"{len(group)} members agree"
    elif fields is not None:
        member, how = fields.nearest, "it is nearest to what most say in each field"
    elif reliable := _most_reliable(weigh, voters):
        member, how = reliable, "its member was right most often"
    elif middle is not None and (found is None or not found.countable):
        member, how = middle.member, "it is most like the others" + ", by embedding" * embedded
    elif anchor in voters:
        member, how = anchor, "it is the anchor"
    else:
        member, how = answers[0].member, "it came first"
    reason = f"{why} {member} was taken: {how}."
    return Verdict(decided_by="fallback", best=member, reason=reason), voters[member]


def _voters(those: Sequence[Candidate]) -> dict[str, Candidate]:
    latest = {candidate.member: candidate for candidate in those}
    whole = [candidate for candidate in latest.values() if not candidate.cut_off]
    return {candidate.member: candidate for candidate in whole or latest.values()}


def _most_reliable(weigh: Mapping[str, float], voters: Mapping[str, Candidate]) -> str:
    """Whose vote weighs most; nobody where several do, as where nothing was measured."""
    most = max(weigh[member] for member in voters)
    leading = [member for member in voters if weigh[member] == most]
    return leading[0] if len(leading) == 1 and len(voters) > 1 else ""


def tie_break(
    run: Run, tied: Sequence[Candidate], said: Sequence[Candidate]
) -> tuple[Candidate, str]:
    """Which of two or more `tied` candidates is taken, and why.

    More members behind it, then the more reliable member, the cheaper one, the shorter text.
    """
    known = any(_share(run, one) is not None for one in tied)
    rules = (
        ("more members say the same", [-_backers(run, one, said) for one in tied]),
        (
            "its member was right more often" if known else "it is the anchor",
            [-_reliability(run, one) for one in tied],
        ),
        ("its member is cheaper", _prices(run, tied)),
        ("it is shorter", [len(one.text) for one in tied]),
    )
    left = list(range(len(tied)))
    for how, ranks in rules:
        least = min(ranks[i] for i in left)
        still = [i for i in left if ranks[i] == least]
        if len(still) == 1:
            return tied[still[0]], how
        left = still
    return tied[left[0]], "it came first"


def _backers(run: Run, one: Candidate, said: Sequence[Candidate]) -> int:
    groups = alike(run, [c.text for c in said]) or []
    mine = next((i for i, c in enumerate(said) if c[:2] == one[:2]), -1)
    return next((len(group) for group in groups if mine in group), 0)


def _reliability(run: Run, one: Candidate) -> float:
    """What was measured of its member; else the anchor is trusted more than the others."""
    share = _share(run, one)
    return share.rate if share else 0.5 + 0.01 * (one.member == run.plan.anchor.label)


def _share(run: Run, one: Candidate) -> Share | None:
    """How often its member was right, where enough is known of it."""
    member = next(m for m in run.plan.members if m.label == one.member)
    share = run.measured.models.get(member.spec)
    return share if share is not None and share.asked >= ENOUGH else None


def _prices(run: Run, tied: Sequence[Candidate]) -> list[Decimal]:
    """US dollars a token that each one's member writes; all alike where one is not known."""
    members = {member.label: member for member in run.plan.members}
    prices = [
        Decimal(0)
        if members[one.member].provider.local
        else members[one.member].info.completion_price
        for one in tied
    ]
    known = [price for price in prices if price is not None]
    return known if len(known) == len(prices) else [Decimal(0)] * len(prices)
