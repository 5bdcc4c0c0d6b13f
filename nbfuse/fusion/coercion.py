"""An object as a pydantic model reads it, so that what means the same to it compares as equal.

Members write a number as 5 or as "5", a day with or without its midnight, a field by its name or
its alias; the model takes all of these for one value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nbfuse.core.shapes import Model
from nbfuse.fusion.fields import same_as, write_json


def as_read(model: Model, value: dict[str, Any]) -> dict[str, Any]:
    """`value` in the form that the model gives it; as it is where that would be another instance.

    Numbers stay exact. Raises `ValueError` where it does not obey.
    """
    whole: Any = model.model_validate_json(write_json(value))
    try:
        # a round trip leaves out what the model computes
        how = {"by_alias": True, "exclude_unset": True, "round_trip": True}
        own, plain = whole.model_dump(**how), whole.model_dump(mode="json", **how)
        normal = _normal(value, own, plain)
        same = bool(model.model_validate_json(write_json(normal)) == whole)
    except Exception:  # a serializer of the user's own may do anything
        return value
    return normal if same and isinstance(normal, dict) else value


def _normal(said: Any, own: Any, plain: Any) -> Any:
    """What was said, in the model's `plain` form; `own` is that with Python's types."""
    if isinstance(plain, dict) and isinstance(own, Mapping):
        named = said if isinstance(said, Mapping) else {}
        pairs = zip(plain.items(), own.values(), strict=True)
        return {key: _normal(named.get(key), mine, one) for (key, one), mine in pairs}
    if isinstance(plain, list) and isinstance(own, list | tuple):
        listed = said if isinstance(said, list) and len(said) == len(plain) else [None] * len(plain)
        return [_normal(*three) for three in zip(listed, own, plain, strict=True)]
    if isinstance(plain, list):  # a set: its order is chance's
        return sorted(plain, key=same_as)
    if type(own) in (int, float, Decimal):
        exact = isinstance(said, int | Decimal) and not isinstance(said, bool)
        return said if exact and float(said) == float(own) else own
    return plain
