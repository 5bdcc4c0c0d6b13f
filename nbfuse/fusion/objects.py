"""Objects that obey one schema: the vote on their fields, and what in it is left to a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nbfuse.core.types import Answer
from nbfuse.fusion.fields import Fused, fuse_fields
from nbfuse.fusion.run import Run
from nbfuse.fusion.schema import Schema
from nbfuse.fusion.settle import Dispute, Option, option
from nbfuse.fusion.vote import weights

Objects = Mapping[str, dict[str, Any]]
MISSING = object()


class Group(NamedTuple):
    """A value of a field (`MISSING`: it is left out) and who gave it."""

    value: object
    members: tuple[str, ...]


def objects_of(answers: Sequence[Answer], schema: Schema) -> dict[str, dict[str, Any]]:
    """The objects of the members whose answers obey."""
    found = {}
    for answer in answers:
        if answer.failure is None:
            try:
                found[answer.member] = schema.read(answer.text)
            except ValueError:
                continue  # an answer of an earlier run; a member's own was refused with its reason
    return found


def vote(run: Run, objects: Objects, anchor: str) -> Fused:
    """The vote on each field; where even its fields are disputed, an object is one value.

    A field that a single one of several members decides by its weight is disputed all the same.
    """
    weigh = weights(run)
    fused = fuse_fields(objects, anchor, weigh)
    torn = [p for p in fused.disputed if any(q.startswith(f"{p}/") for q in fused.support)]
    for pointer in fused.disputed:  # an object of another kind than the others': of a union
        parent = pointer.rpartition("/")[0]
        missing = fused.support[pointer].missing
        if parent and _may_lack(objects, parent, missing, weigh):
            torn.append(parent)
    torn += _emptied(fused, weigh)
    if torn:
        fused = fuse_fields(objects, anchor, weigh, closed=torn)
    lonely = [
        pointer
        for pointer, field in fused.support.items()
        if max(len(field.values[0][1]), len(field.missing)) < min(2, len(objects))
    ]
    disputed = dict.fromkeys([*fused.disputed, *lonely])
    return fused._replace(disputed=tuple(p for p in fused.support if p in disputed))


def _emptied(fused: Fused, weigh: Mapping[str, float]) -> list[str]:
    """Objects that most members give, and that nothing is left of: each has keys of its own."""
    emptied, half = [], sum(weigh.values()) / 2
    inner = dict.fromkeys(parent for p in fused.support for parent in _parents(p))
    for place in inner:
        inside = [p for p in fused.support if p == place or p.startswith(f"{place}/")]
        given = {who for p in inside for _, members in fused.support[p].values for who in members}
        if set(inside) <= set(fused.left_out) and sum(weigh[who] for who in given) > half:
            emptied.append(place)
    return emptied


def _parents(pointer: str) -> list[str]:
    steps = pointer.split("/")
    return ["/".join(steps[:i]) for i in range(2, len(steps))]


def groups_of(fused: Fused, pointer: str) -> list[Group]:
    """The values of a field and who left it out, the one first that the votes come to."""
    field = fused.support[pointer]
    groups = [Group(value, who) for value, who in field.values]
    if not field.missing:
        return groups
    without = Group(MISSING, field.missing)
    return [without, *groups] if pointer in fused.left_out else [*groups, without]


def _may_lack(
    objects: Objects, parent: str, missing: Sequence[str], weigh: Mapping[str, float]
) -> bool:
    """Whether a field of an object may be left out: no fewer lack it than have it."""
    if 2 * round(sum(weigh[m] for m in missing), 9) < round(sum(weigh[m] for m in objects), 9):
        return False  # most say that it has a value, though not which
    return any(isinstance(_at(objects[member], parent), Mapping) for member in missing)


def _at(value: object, pointer: str) -> object:
    for name in pointer.split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def dispute_of(
    run: Run, schema: Schema, objects: Objects, pointer: str, groups: Sequence[Group]
) -> Dispute:
    """The field as a question; that it be left out is an answer only where it may be."""
    parent, weigh = pointer.rpartition("/")[0], weights(run)
    options: list[Option] = []
    for group in groups:
        lacks = group.value is MISSING
        if lacks and not _may_lack(objects, parent, group.members, weigh):
            continue
        options.append(option(None if lacks else group.value, run.plan.prompt, lacks))
    return Dispute(pointer, schema.about(pointer), tuple(options))
