"""Structured answers: fused field by field, whatever the mode.

Where more than half agree a field is settled; the judge is asked about the others alone, and where
it is none, or not firm, the most votes decide, the anchor's value in a tie. What the fields come to
has to obey the schema as a whole; where it does not, the nearest member's whole answer does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from nbfuse.core.errors import ModelError
from nbfuse.core.events import JudgeFailed
from nbfuse.core.shapes import FieldDecision, FieldSupport
from nbfuse.core.types import Answer, Confidence, DecidedBy, Verdict
from nbfuse.fusion.candidates import candidate
from nbfuse.fusion.fields import nested, same_as, write_json
from nbfuse.fusion.judge import distrusted
from nbfuse.fusion.modes.alone import reviewed
from nbfuse.fusion.modes.outcome import Outcome
from nbfuse.fusion.objects import (
    MISSING,
    Group,
    Objects,
    dispute_of,
    groups_of,
    objects_of,
    vote,
)
from nbfuse.fusion.run import Run
from nbfuse.fusion.schema import Schema
from nbfuse.fusion.settle import Dispute, Settled, settle
from nbfuse.fusion.vote import weights

_BY: dict[FieldDecision, str] = {
    "agreement": "agreement",
    "judge": "the judge",
    "most votes": "the most votes",
    "anchor": "the anchor in a tie",
    "first": "who came first in a tie",
    "whole answer": "the nearest whole answer",
}


class _Choice(NamedTuple):
    group: Group
    by: FieldDecision


async def structured(run: Run, answers: Sequence[Answer], schema: Schema) -> Outcome | None:
    """The object that the answers come to; None where no answer obeys the schema."""
    objects = objects_of(answers, schema)
    if not objects:
        return None
    anchor = run.plan.anchor.label
    fused = vote(run, objects, anchor)
    groups = {pointer: groups_of(fused, pointer) for pointer in fused.support}
    chosen: dict[str, _Choice] = {}
    for pointer, those in groups.items():
        if pointer not in fused.disputed:
            chosen[pointer] = _Choice(those[0], "agreement")
    settled: Settled | None = None
    disputes = [dispute_of(run, schema, objects, p, groups[p]) for p in fused.disputed]
    if disputes:
        settled = await _judged(run, disputes, _whole(chosen))
    for one in disputes:
        chosen[one.pointer] = _choice(run, one, groups[one.pointer], settled)
    chosen = {pointer: chosen[pointer] for pointer in fused.support}
    value, chosen = _valid(run, schema, objects, groups, chosen, anchor)
    fields = tuple(
        _support(p, choice, groups[p], len(objects))
        for p, choice in chosen.items()
        if choice.group.value is not MISSING or not any(q.startswith(f"{p}/") for q in chosen)
    )
    text, verdict = write_json(value), _verdict(run, objects, value, fields, settled)
    if run.plan.pool.check and len(objects) == 1:
        mine = candidate(next(iter(objects)), text, run.plan.prompt)
        verdict = await reviewed(run, mine, verdict)
    return Outcome(text, verdict, fields=fields)


def _whole(chosen: Mapping[str, _Choice]) -> object:
    return nested({p: c.group.value for p, c in chosen.items() if c.group.value is not MISSING})


async def _judged(run: Run, disputes: Sequence[Dispute], settled: object) -> Settled | None:
    """What the judge says of the disputed fields; None where it can't be asked, or fails."""
    judge = run.plan.judge
    those = [one for one in disputes if len(one.options) > 1]
    if not those:
        return None
    if judge.info.form != "full":
        run.notes.append(
            f"{judge.label} is too small to choose between values: the most votes decide, and the "
            "anchor's value in a tie."
        )
        return None
    if why := distrusted(run):
        run.notes.append(f"{why} The most votes decide, and the anchor's value in a tie.")
        return None
    try:
        return await settle(run, those, settled)
    except ModelError as error:
        run.emit(JudgeFailed(judge=judge.label, failure=error.failure()))
        run.notes.append(
            f"The judge failed ({error.message}) The most votes decide the disputed fields, and "
            "the anchor's value in a tie."
        )
        return None


def _choice(run: Run, one: Dispute, groups: Sequence[Group], settled: Settled | None) -> _Choice:
    """What the judge says firmly, else the most votes, else the anchor's value."""
    values = [MISSING if each.left_out else each.value for each in one.options]
    offered = [next(group for group in groups if group.value is value) for value in values]
    if settled is not None and (number := settled.chosen.get(one.pointer)) is not None:
        return _Choice(offered[number], "judge")
    weigh = weights(run)
    first, *others = [round(sum(weigh[m] for m in group.members), 9) for group in offered]
    if first not in others:
        return _Choice(offered[0], "most votes")
    return _Choice(offered[0], "anchor" if run.plan.anchor.label in offered[0].members else "first")


def _valid(
    run: Run,
    schema: Schema,
    objects: Objects,
    groups: Mapping[str, Sequence[Group]],
    chosen: dict[str, _Choice],
    anchor: str,
) -> tuple[object, dict[str, _Choice]]:
    """The object of the chosen fields, else with those of a whole answer that is near to it.

    What most agree on gives way last: first a member's values stand in for the other fields alone.
    """
    value = _whole(chosen)
    if not (why := _complaint(schema, value)):
        return value, chosen

    def near(member: str) -> tuple[int, int, bool]:
        by = [c.by for c in chosen.values() if member in c.group.members]
        return by.count("agreement"), len(by), member == anchor

    def with_values_of(member: str, kept: Collection[FieldDecision]) -> dict[str, _Choice]:
        mixed = {}
        for pointer, choice in chosen.items():
            own = next(group for group in groups[pointer] if member in group.members)
            stays = choice.by in kept or own is choice.group
            mixed[pointer] = choice if stays else _Choice(own, "whole answer")
        return mixed

    nearest = sorted(objects, key=near, reverse=True)
    firm: tuple[FieldDecision, ...] = ("agreement", "judge")
    for kept in (firm, firm[:1]):
        for member in nearest:
            mixed = with_values_of(member, kept)
            if not _complaint(schema, _whole(mixed)):
                run.notes.append(
                    f"The fields do not go together ({why}): where most do not agree, {member}'s "
                    "values were taken."
                )
                return _whole(mixed), mixed
    run.notes.append(
        f"The fields do not go together ({why}): {nearest[0]}'s whole answer was taken, which is "
        "nearest to them."
    )
    return objects[nearest[0]], with_values_of(nearest[0], ())


def _complaint(schema: Schema, value: object) -> str:
    try:
        schema.check(value)
    except ValueError as error:
        return str(error).rstrip(".")
    return ""


def _support(pointer: str, choice: _Choice, groups: Sequence[Group], of: int) -> FieldSupport:
    return FieldSupport(
        path=pointer,
        value=_text(choice.group.value),
        members=choice.group.members,
        of=of,
        decided_by=choice.by if of > 1 else "whole answer",
        others=tuple((_text(one.value), one.members) for one in groups if one is not choice.group),
    )


def _text(value: object) -> str | None:
    return None if value is MISSING else write_json(value)


def _verdict(
    run: Run,
    objects: Objects,
    value: object,
    fields: Sequence[FieldSupport],
    settled: Settled | None,
) -> Verdict:
    whole = [member for member, one in objects.items() if same_as(one) == same_as(value)]
    anchor = run.plan.anchor.label
    best = anchor if anchor in whole else next(iter(whole), None)
    if len(objects) == 1:
        reason = f"Only {best} gave an answer that obeys, so nothing could be compared."
        return Verdict(decided_by="only survivor", best=best, reason=reason)
    ways = [field.decided_by for field in fields]
    decided: DecidedBy = "judge" if "judge" in ways else "agreement"
    if set(ways) - {"agreement", "judge"}:
        decided = "fallback"
    counts = ", ".join(f"{ways.count(way)} by {_BY[way]}" for way in dict.fromkeys(ways))
    reason = f"Of {len(fields)} field{'s' * (len(fields) != 1)} {counts}."
    if settled is not None and settled.reason:
        reason += f" {run.plan.judge.label}: {settled.reason}"
    if settled is not None and settled.flips:
        reason += f" {run.plan.judge.label} chose otherwise in the other order for {settled.flips}."
    return Verdict(
        decided_by=decided,
        best=best,
        confidence=_confidence(run, fields, decided, settled),
        reason=reason,
        seed=settled.seed if settled else None,
        asked_twice=settled.asked_twice if settled else 0,
        flips=settled.flips if settled else 0,
        form="full" if settled else None,
    )


def _confidence(
    run: Run, fields: Sequence[FieldSupport], decided: DecidedBy, settled: Settled | None
) -> Confidence:
    """High where all say all of it, low where a field was settled without a firm judge."""
    if not run.spared and all(len(field.members) == field.of for field in fields):
        return "high"
    firm = settled is None or settled.asked_twice > 0
    return "medium" if decided != "fallback" and firm else "low"
