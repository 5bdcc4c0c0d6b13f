"""A JSON schema in strict form: what servers and local engines can hold an answer to.

In strict form every field is required and no others are allowed; what may be left out may be null
instead. Bounds that engines can't keep are dropped here: the answer is checked against the whole
schema afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# forms of texts that OpenAI's strict form takes and llama.cpp knows or reads over
_FORMATS = ("date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6")
_LENGTHS = ("minLength", "maxLength")  # local engines keep them, OpenAI's strict form refuses them
_DROPPED = ("default", "examples", "discriminator", "uniqueItems", "$schema", "$id", "$comment")
_NAMED = ("properties", "$defs", "definitions", "patternProperties")  # hold parts by free names
_VALUES = ("enum", "const", "required", "dependentRequired")  # hold no parts at all
NULL = {"type": "null"}
MOST_STEPS = 8  # from a reference to the next that are followed within one part


def strict(schema: Mapping[str, Any], lengths: bool) -> dict[str, Any]:
    """The strict form of a schema of an object; with `lengths` texts keep their bounds."""
    root = at_root(schema)
    made: dict[str, Any] = _part(root, root, lengths)
    return made


def at_root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what a reference at its root names in place of it, as a recursive one has."""
    root, seen = dict(schema), set()
    while isinstance(place := root.get("$ref"), str) and place not in seen:
        seen.add(place)
        kept = {key: value for key, value in root.items() if key != "$ref"}
        root = {**referred(place, schema), **kept}
    return root


def referred(place: str, root: Mapping[str, Any]) -> dict[str, Any]:
    """What `#/…` names within `root`; raises `LookupError` where it names nothing there."""
    if not place.startswith("#"):
        raise LookupError(place)
    found: Any = root
    for name in place[1:].split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) and name.isdigit() else found[name]
    if not isinstance(found, Mapping):
        raise LookupError(place)
    return dict(found)


def _part(part: Any, root: Mapping[str, Any], lengths: bool) -> Any:
    if isinstance(part, list | tuple):
        return [_part(one, root, lengths) for one in part]
    if not isinstance(part, Mapping):
        return part
    dropped = _DROPPED if lengths else (*_DROPPED, *_LENGTHS)
    made: dict[str, Any] = {}
    for key, value in part.items():
        if key in dropped:
            continue
        if key in _NAMED and isinstance(value, Mapping):
            made[key] = {name: _part(one, root, lengths) for name, one in value.items()}
        else:
            made[key] = value if key in _VALUES else _part(value, root, lengths)
    if "properties" in made and isinstance(part["properties"], Mapping):
        _require_all(made, part, root)
    return _known(made)


def _require_all(made: dict[str, Any], part: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    """Require every field: one that may be left out may be null."""
    needed = part.get("required", ())
    for name, one in made["properties"].items():
        if name not in needed and not takes_null(part["properties"][name], root):
            made["properties"][name] = {"anyOf": [one, NULL]}
    made.setdefault("type", "object")
    made["required"] = list(made["properties"])
    made.setdefault("additionalProperties", False)


def takes_null(part: Any, root: Mapping[str, Any], depth: int = 0) -> bool:
    """Whether a part of the schema `root` lets null pass."""
    if not isinstance(part, Mapping) or depth > MOST_STEPS:
        return bool(part)
    kinds = part.get("type", "null")
    if "null" not in ([kinds] if isinstance(kinds, str) else kinds):
        return False
    if ("const" in part and part["const"] is not None) or None not in part.get("enum", (None,)):
        return False
    if "$ref" in part and not takes_null(referred(part["$ref"], root), root, depth + 1):
        return False
    ways = [part[key] for key in ("anyOf", "oneOf") if key in part]
    some = all(any(takes_null(one, root, depth + 1) for one in those) for those in ways)
    return some and all(takes_null(one, root, depth + 1) for one in part.get("allOf", ()))


def _known(made: dict[str, Any]) -> dict[str, Any]:
    """The part in words that every engine knows."""
    if "format" in made and made["format"] not in _FORMATS:
        del made["format"]
    if isinstance(pattern := made.get("pattern"), str) and not _is_plain(pattern):
        del made["pattern"]
    if "oneOf" in made and "anyOf" not in made:  # of a tagged union only one can fit
        made["anyOf"] = made.pop("oneOf")
    if isinstance(made.get("allOf"), list) and len(made["allOf"]) == 1 and "anyOf" not in made:
        made["anyOf"] = made.pop("allOf")
    if "$ref" in made and len(made) > 1 and "anyOf" not in made and "$defs" not in made:
        made["anyOf"] = [{"$ref": made.pop("$ref")}]  # nothing may stand beside a reference
    return made


def _is_plain(pattern: str) -> bool:
    """Whether engines can turn a pattern into a grammar: anchored, without looking around."""
    anchored = pattern.startswith("^") and pattern.endswith("$")
    return anchored and "(?" not in pattern and "\\" not in pattern


def check_references(part: Any, root: dict[str, Any]) -> None:
    """Raise `LookupError` for a reference to nowhere: nothing is ever fetched for a schema."""
    if isinstance(part, list):
        for one in part:
            check_references(one, root)
    if isinstance(part, dict):
        if isinstance(place := part.get("$ref"), str):
            try:
                referred(place, root)
            except (LookupError, TypeError):
                raise LookupError(place) from None
        for key, one in part.items():
            if key not in ("enum", "const", "default", "examples"):
                check_references(one, root)
