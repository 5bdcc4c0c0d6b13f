"""JSON answers field by field: who stands behind each value, what they come to, what is disputed.

A field is named by its JSON pointer (RFC 6901): "/address/city". Objects are entered; a list is one
value, in its order. Numbers compare by value (1.0 is 1), texts exactly but for their white space;
true is not 1, and null is a value as good as any.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import NamedTuple


class Field(NamedTuple):
    """Who stands behind each value of a field: the heaviest group first, the anchor's on a tie.

    `missing` are members whose object lacks the field; they count as a group of their own.
    """

    values: tuple[tuple[object, tuple[str, ...]], ...]
    missing: tuple[str, ...] = ()


class Fused(NamedTuple):
    """One object out of several, and by JSON pointer the support of its fields.

    `value` holds the plurality's value of every field, and none that most members leave out.
    `disputed` are the fields without a clear majority, in the order in which they come up;
    `left_out` are those without a value in it.
    """

    value: object
    support: Mapping[str, Field]
    disputed: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def read_json(text: str) -> object:
    """The value of a JSON text, numbers exact; raises `ValueError` where it is none, or two."""
    try:
        return json.loads(
            text, parse_float=_exact, object_pairs_hook=_unique, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_json(value: object, indent: int = 0) -> str:
    """The JSON text of what `read_json` gives, numbers as they are; objects over several lines."""
    inner, end = "\n" + "  " * (indent + 1), "\n" + "  " * indent
    match value:
        case Decimal():
            return str(value)
        case Mapping() if value:
            pairs = (
                f"{_scalar(str(key))}: {write_json(one, indent + 1)}" for key, one in value.items()
            )
            return "{" + inner + f",{inner}".join(pairs) + end + "}"
        case list() | tuple() if any(isinstance(one, Mapping) and one for one in value):
            lines = (write_json(one, indent + 1) for one in value)
            return "[" + inner + f",{inner}".join(lines) + end + "]"
        case list() | tuple():
            return "[" + ", ".join(write_json(one, indent) for one in value) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def same_as(value: object) -> str:
    """A text that equal values share."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case int() | float() | Decimal():
            return _number(Decimal(value) if not isinstance(value, float) else Decimal(repr(value)))
        case str():
            return json.dumps(" ".join(value.split()), ensure_ascii=False)
        case Mapping():
            pairs = sorted((str(key), same_as(one)) for key, one in value.items())
            return "{" + ", ".join(f"{json.dumps(key)}: {one}" for key, one in pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(same_as, value)) + "]"
    return json.dumps(str(value))


def fuse_fields(
    values: Mapping[str, object],
    anchor: str,
    weights: Mapping[str, float] | None = None,
    closed: Collection[str] = (),
) -> Fused:
    """One object out of those of the members, each field by the vote of all of them.

    A field is undisputed where the members behind its value outweigh all others together, those
    that lack it among them. What is no object, is one field with an empty name. Objects at the
    pointers that are `closed` are not entered: each is one value.
    """
    flat = {member: _flat(value, closed) for member, value in values.items()}
    pointers = dict.fromkeys(pointer for one in flat.values() for pointer in one)
    weigh = {member: (weights or {}).get(member, 1.0) for member in values}
    support, kept, disputed = {}, {}, []
    for pointer in pointers:
        groups: dict[str, tuple[object, list[str]]] = {}
        for member, fields in flat.items():
            if pointer in fields:
                value = fields[pointer]
                groups.setdefault(same_as(value), (value, []))[1].append(member)
        # a parent that is an object for some and a value for others is a dispute of its own
        missing = tuple(member for member, fields in flat.items() if pointer not in fields)
        ranked = sorted(
            groups.values(), key=lambda one: (-_sum(weigh, one[1]), anchor not in one[1])
        )
        support[pointer] = Field(tuple((value, tuple(who)) for value, who in ranked), missing)
        best, lacking = _sum(weigh, ranked[0][1]), _sum(weigh, missing)
        present = best > lacking or (best == lacking and anchor not in missing)
        if present:
            kept[pointer] = ranked[0][0]
        if 2 * max(best, lacking) <= sum(weigh.values()):
            disputed.append(pointer)
    left_out = tuple(pointer for pointer in pointers if pointer not in kept)
    return Fused(nested(kept), support, tuple(disputed), left_out)


def _sum(weigh: Mapping[str, float], members: tuple[str, ...] | list[str]) -> float:
    return round(sum(weigh[member] for member in members), 9)  # 0.1 + 0.2 is a tie with 0.3


def _flat(value: object, closed: Collection[str], at: str = "") -> dict[str, object]:
    """The leaves of nested objects by their pointers; an empty object is a leaf."""
    if not isinstance(value, Mapping) or not value or at in closed:
        return {at: value}
    found: dict[str, object] = {}
    for key, one in value.items():
        name = str(key).replace("~", "~0").replace("/", "~1")
        found |= _flat(one, closed, f"{at}/{name}")
    return found


def nested(fields: Mapping[str, object]) -> object:
    """The object with these fields; where one is inside of another, the first that came stays."""
    if "" in fields and len(fields) == 1:
        return fields[""]
    whole: dict[str, object] = {}
    for pointer, value in fields.items():
        place = whole
        *parents, last = [
            name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]
        ] or [""]
        for name in parents:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            if pointer:  # an empty object is copied: it may be filled here, and is a member's own
                place.setdefault(last, dict(value) if isinstance(value, Mapping) else value)
    return whole


def _number(value: Decimal) -> str:
    """A number in the one form that equal numbers share; an exponent can't make it long."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return str(value)  # no number, or endless
    written = "".join(map(str, digits)).lstrip("0")
    short = written.rstrip("0")
    if not short:
        return "0"
    exponent += len(written) - len(short)
    if 0 <= exponent <= 20:
        short, exponent = short + "0" * exponent, 0
    return f"{'-' if sign else ''}{short}{f'e{exponent}' if exponent else ''}"


def _exact(digits: str) -> Decimal:
    return Decimal(digits)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")
