"""What a structured answer has to be: a pydantic model or a JSON schema, and the check of it.

pydantic is not needed here: a model is known by its methods.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import Pool
from nbfuse.core.shapes import Model, is_model, remember
from nbfuse.fusion.coercion import as_read
from nbfuse.fusion.fields import read_json, write_json
from nbfuse.fusion.strict import MOST_STEPS, at_root, check_references, referred, strict, takes_null

MOST_COMPLAINTS = 5  # of one answer that its author is told
TAKEN = "Give a pydantic model (a class), a JSON schema as a dict, or a file of one."


class Schema:
    """A schema that answers obey: its name, itself as JSON holds it, and the model, if any."""

    def __init__(self, name: str, plain: dict[str, Any], model: Model | None) -> None:
        self.name, self.plain, self.model = name, plain, model
        self._root = at_root(plain)
        self.model_name = remember(plain, model) if model is not None else ""

    def strict(self, local: bool) -> dict[str, Any]:
        """The form in which a server, or an engine on this machine, is told of it."""
        return strict(self.plain, lengths=local)

    @property
    def told(self) -> str:
        """What a model is told that does not see the schema otherwise."""
        return (
            "Answer with a JSON object that obeys this JSON schema, and with nothing else:\n"
            f"{json.dumps(self.strict(local=True), ensure_ascii=False)}"
        )

    def check_run(self, pool: Pool, with_tools: bool) -> None:
        """Raise `ConfigError` for what can't go together with answers fused field by field."""
        if with_tools:
            raise ConfigError(
                "An answer can't obey a schema and be a call of a tool.",
                "Leave out one of the two: a tool's own schema holds its arguments.",
            )
        if pool.mode == "debate":
            raise ConfigError(
                "Answers under a schema are fused field by field: there is no debate about them.",
                "Choose the mode best-of, or leave out the schema.",
            )
        if pool.answer is not None:
            raise ConfigError(
                f"Answers under a schema can't be compared as {pool.answer}.",
                "Leave out one of the two: with a schema each field is compared.",
            )

    def read(self, text: str) -> dict[str, Any]:
        """The object in a JSON text once it is known to obey, numbers exact.

        What was left out, or was null where nothing else says that it is, has its default if it has
        one; what the model reads as something else ("5" as 5) is that. Raises `ValueError` with
        what is wrong.
        """
        try:
            value = self._completed(read_json(text), self._root)
            if not isinstance(value, dict):
                raise ValueError("it is no JSON object")
            self.check(value)
            return value if self.model is None else as_read(self.model, value)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    def check(self, value: object) -> None:
        """Raise `ValueError` where `value` does not obey, in a line."""
        text = write_json(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a text in it holds half a character") from None
        if self.model is not None:
            _check_model(self.model, text)
        else:
            _check_plain(self.plain, json.loads(text))

    def about(self, pointer: str) -> str:
        """What the schema says of the field with that JSON pointer; empty where nothing."""
        part: Any = self._root
        for name in pointer.split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            ways = self._ways(part)
            part = next(
                (w["properties"][name] for w in ways if name in w.get("properties", {})), {}
            )
        said = part.get("description", "") if isinstance(part, Mapping) else ""
        return " ".join(said.split()) if isinstance(said, str) else ""

    def _ways(self, part: Any, depth: int = 0) -> list[Mapping[str, Any]]:
        """The part, with what it refers to and what it lets one choose from."""
        if not isinstance(part, Mapping) or depth > MOST_STEPS:
            return []
        inside: list[Any] = [
            one for key in ("anyOf", "oneOf", "allOf") for one in part.get(key, ())
        ]
        if isinstance(place := part.get("$ref"), str):
            inside.append(referred(place, self.plain))
        return [part, *(way for one in inside for way in self._ways(one, depth + 1))]

    def _meant(self, part: Any, value: Any, depth: int = 0) -> list[Mapping[str, Any]]:
        """As `_ways`, of a union only the one kind of object that `value` can be, if it is one."""
        if not isinstance(value, dict):
            return self._ways(part)
        if not isinstance(part, Mapping) or depth > MOST_STEPS:
            return []
        found = [part]
        if isinstance(place := part.get("$ref"), str):
            found += self._meant(referred(place, self.plain), value, depth + 1)
        for one in part.get("allOf", ()):
            found += self._meant(one, value, depth + 1)
        for key in ("anyOf", "oneOf"):
            arms = [self._meant(one, value, depth + 1) for one in part.get(key, ())]
            misfits = [(_misfit(arm, value), arm) for arm in arms]
            fitting = [(misfit, arm) for misfit, arm in misfits if misfit is not None]
            least = min((misfit for misfit, _ in fitting), default=0)
            best = [arm for misfit, arm in fitting if misfit == least]
            found += best[0] if len(best) == 1 else []  # who knows which of several is meant
        return found

    def _completed(self, value: Any, part: Any) -> Any:
        """`value` with defaults in place of what was left out, or null only to say so."""
        ways = self._meant(part, value)
        if isinstance(value, list):
            items: Any = next((way["items"] for way in ways if "items" in way), {})
            return [self._completed(one, items) for one in value]
        if not isinstance(value, dict):
            return value
        made = dict(value)
        for way in ways:
            named = way.get("properties")
            if not isinstance(named, Mapping):
                continue
            for name, one in named.items():
                if name in made and made[name] is not None:
                    made[name] = self._completed(made[name], one)
                elif name in way.get("required", ()) or (
                    name in made and takes_null(one, self.plain)
                ):
                    continue
                elif isinstance(one, Mapping) and "default" in one:
                    made[name] = one["default"]
                else:
                    made.pop(name, None)
        return made


def _misfit(ways: Sequence[Mapping[str, Any]], value: Mapping[str, Any]) -> int | None:
    """How many fields of `value` an object of this kind does not have; None: it is none of it."""
    named: dict[str, Any] = {}
    for way in ways:
        if not set(way.get("required", ())) <= set(value):
            return None
        if isinstance(properties := way.get("properties"), Mapping):
            named |= properties
    for name, one in named.items():
        if name not in value or not isinstance(one, Mapping):
            continue
        only = one.get("enum", [one["const"]] if "const" in one else None)
        if only is not None and value[name] not in only:
            return None
    return len(set(value) - set(named)) if named else None


def make_schema(given: object) -> Schema | None:
    """The schema that the user means; raises `ConfigError`."""
    if given is None or isinstance(given, Schema):
        return given
    if isinstance(given, str | os.PathLike):
        return _schema("the schema", _from_file(Path(given)), None)
    if is_model(given):
        try:
            plain = given.model_json_schema()
        except Exception as error:  # pydantic's own, for types that JSON does not know
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(f"{_name(given)} has no JSON schema: {why}", "Mend it.") from None
        return _schema(_name(given), plain, given)
    if isinstance(given, Mapping):
        return _schema(str(given.get("title") or "the schema"), dict(given), None)
    what = (
        given.__name__ if isinstance(given, type) else f"Something of type {type(given).__name__}"
    )
    raise ConfigError(f"{what} is no schema.", TAKEN)


def _schema(name: str, plain: Mapping[str, Any], model: Model | None) -> Schema:
    try:
        copied = json.loads(json.dumps(plain))
        if model is None:
            _check_schema(copied)
        check_references(copied, copied)
        root = at_root(copied)
    except LookupError as error:
        raise ConfigError(
            f"The schema refers to {error.args[0]!r}, which is not in it.",
            'Put what it refers to under "$defs".',
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error).rstrip(".")
        raise ConfigError(f"That is no JSON schema: {why}.", TAKEN) from None
    if root.get("type", "object") != "object":
        raise ConfigError(
            f"{name[:1].upper()}{name[1:]} does not describe an object.",
            'An answer needs named fields: {"type": "object", "properties": {…}}.',
        )
    if not root.get("properties"):
        raise ConfigError(f"{name[:1].upper()}{name[1:]} has no fields.", "Give it at least one.")
    return Schema(name, copied, model)


def _check_schema(plain: dict[str, Any]) -> None:
    import jsonschema  # takes a second, for whoever has no model

    try:
        jsonschema.validators.validator_for(plain).check_schema(plain)
    except jsonschema.SchemaError as error:
        raise ValueError(error.message) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.", "Check its name.") from None
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}.", "Mend it.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no JSON schema.", TAKEN)
    return found


def _check_model(model: Model, text: str) -> None:
    try:
        model.model_validate_json(text)
    except Exception as error:  # pydantic's, or one of the user's own validators
        raise ValueError(_complaints(error)) from None


def _complaints(error: Exception) -> str:
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return f"{type(error).__name__}: {error}"
    lines = [
        f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}".removeprefix(": ")
        for one in listed()[:MOST_COMPLAINTS]
    ]
    return " ".join("; ".join(lines).split())


def _check_plain(schema: dict[str, Any], value: object) -> None:
    import jsonschema
    from referencing import Registry

    kind = jsonschema.validators.validator_for(schema)
    check = kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)
    found = list(check.iter_errors(value))
    lines = [
        f"{'.'.join(map(str, one.absolute_path))}: {one.message}".removeprefix(": ")
        for one in found[:MOST_COMPLAINTS]
    ]
    if lines:
        raise ValueError(" ".join("; ".join(lines).split()))


def _name(model: object) -> str:
    return str(getattr(model, "__name__", "the model"))
