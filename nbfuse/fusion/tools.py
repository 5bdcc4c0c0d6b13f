"""Tools that members may call: what they are, and the schema that a call of one has to obey."""

from __future__ import annotations

import copy
import datetime
import functools
import inspect
import json
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence

import msgspec

from nbfuse.core.errors import ConfigError
from nbfuse.fusion.strict import check_references

NONE = "none"  # what is "called" by a model that needs no tool
# Bounds for what a schema leaves open: a small model may go on with a text or a list for good.
MOST_CHARACTERS, MOST_ITEMS, MOST_INTEGER = 256, 16, 9 * 10**18
# Forms of texts that every engine knows, and those that none does, as texts that have them.
_FORMATS = ("date", "time", "date-time", "uuid")
_PATTERNS = {
    "decimal": r"^-?[0-9]{1,15}([.][0-9]{1,9})?$",
    "duration": r"^P([0-9]{1,5}D|T[0-9]{1,9}S)$",
    "base64": r"^([A-Za-z0-9+/]{4}){0,64}$",
}

_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}")


class Tool:
    """A tool: its name, what it does, the JSON schema of its arguments, and the function, if any.

    Without a `function` a call is the member's answer, for the caller to do something with.
    """

    def __init__(
        self,
        name: str,
        description: str,
        parameters: Mapping[str, object],
        function: Callable[..., object] | None = None,
        arguments: type | None = None,
    ) -> None:
        if not _NAME.fullmatch(name) or name == NONE:
            raise ConfigError(f"A tool can't be called {name!r}.", "Use letters, digits, _ and -.")
        self.name, self.description, self.parameters = name, description, parameters
        self.function, self._arguments = function, arguments

    def check(self, arguments: object) -> None:
        """Raise `ValueError` where `arguments` do not obey the schema."""
        import jsonschema

        try:
            if self._arguments is None:
                jsonschema.validate(arguments, self.parameters)
            else:
                self.values(typing.cast(dict[str, object], arguments))
        except jsonschema.ValidationError as error:
            where = ".".join(map(str, error.absolute_path))
            raise ValueError(f"{self.name} {where}: {error.message}") from None
        except Exception as error:  # a reference to nowhere, or what no annotation takes
            raise ValueError(f"{self.name}: {error}") from None

    def values(self, arguments: dict[str, object]) -> dict[str, object]:
        """The arguments as the function's annotations want them."""
        if self._arguments is None:
            return arguments
        made: object = msgspec.convert(arguments, self._arguments, str_keys=True)
        return {name: getattr(made, name) for name in arguments}


def make_tools(given: Sequence[object]) -> tuple[Tool, ...]:
    """Tools from Python functions or schemas (OpenAI's form); raises `ConfigError`."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise ConfigError("tools must be a list.", "Write tools=[…].")
    tools = tuple(_tool(one) for one in given)
    names = [tool.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"Two tools are called {twice!r}.", "Rename one.")
    return tools


def _tool(given: object) -> Tool:
    if isinstance(given, Tool):
        return given
    if isinstance(given, Mapping):
        about = given.get("function", given)
        name = about.get("name") if isinstance(about, Mapping) else None
        parameters = about.get("parameters") if isinstance(about, Mapping) else None
        if not isinstance(name, str) or not isinstance(parameters, Mapping):
            raise ConfigError(
                "A tool's schema needs a name and parameters.",
                'Write {"name": "…", "description": "…", "parameters": {"type": "object", …}}.',
            )
        return Tool(name, str(about.get("description", "")), _checked(name, parameters))
    if callable(given):
        return _from_function(given)
    raise ConfigError(f"{given!r} is no tool.", "Give Python functions, or schemas as dicts.")


def _checked(name: str, parameters: Mapping[str, object]) -> Mapping[str, object]:
    import jsonschema

    try:
        jsonschema.validators.validator_for(parameters).check_schema(parameters)
        check_references(json.loads(json.dumps(parameters)), dict(parameters))
    except (jsonschema.SchemaError, TypeError, ValueError, LookupError) as error:
        why = getattr(error, "message", str(error))
        if isinstance(error, LookupError):
            why = f"it refers to {error.args[0]!r}, which is not in it"
        raise ConfigError(f"The schema of {name} is none: {why}.", "Mend it.") from None
    return parameters


def _from_function(function: Callable[..., object]) -> Tool:
    """A tool that is called by name with arguments of the annotated types."""
    name = getattr(function, "__name__", "")
    if not name:
        raise ConfigError(
            f"A {type(function).__name__} has no name to be called by.", "Write a def around it."
        )
    example = name if name.isidentifier() else "f"
    remedy = f"Annotate them, as in def {example}(city: str, days: int = 1) -> str."
    try:
        hints = _hints(function)
        signature = inspect.signature(function)
    except (NameError, TypeError, ValueError) as error:
        raise ConfigError(f"{name}: its arguments can't be read: {error}.", remedy) from None
    fields: list[tuple[str, object] | tuple[str, object, object]] = []
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"{name}: the argument {parameter.name!r} can't be given by its name.",
                "Take each argument by a name of its own.",
            )
        if parameter.name not in hints:
            raise ConfigError(f"{name}: the argument {parameter.name!r} has no type.", remedy)
        hint = hints[parameter.name]
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hint))
        else:
            default = functools.partial(copy.copy, parameter.default)
            fields.append((parameter.name, hint, msgspec.field(default_factory=default)))
    try:
        kind = msgspec.defstruct(
            f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True
        )
        schema = msgspec.json.schema(kind)
    except (TypeError, RuntimeError) as error:
        why = str(error).strip().splitlines()[-1].rstrip(".")
        raise ConfigError(f"{name}: {why}.", "Use types and names that JSON knows.") from None
    found = schema.pop("$ref").rpartition("/")[2]
    parameters = schema["$defs"].pop(found) | {"$defs": schema["$defs"]}
    del parameters["title"]
    return Tool(name, inspect.getdoc(function) or "", parameters, function, kind)


def _hints(function: Callable[..., object]) -> dict[str, object]:
    """What each argument is to be; what comes back may have any annotation."""
    called: typing.Any = function
    if isinstance(function, type):
        called = called.__init__
    written = {
        name: hint
        for name, hint in getattr(called, "__annotations__", {}).items()
        if name != "return"
    }
    places = getattr(inspect.unwrap(called), "__globals__", {})
    hints = typing.get_type_hints(
        types.SimpleNamespace(__annotations__=written), places, include_extras=True
    )
    return {name: _formed(hint) for name, hint in hints.items()}


def _formed(hint: typing.Any) -> typing.Any:
    """`hint` with a form for times, which msgspec reads in one form only and does not name."""
    for kind, form in ((datetime.datetime, "date-time"), (datetime.time, "time")):
        if hint is kind:
            return typing.Annotated[hint, msgspec.Meta(extra_json_schema={"format": form})]
    origin, inside = typing.get_origin(hint), tuple(map(_formed, typing.get_args(hint)))
    if inside == typing.get_args(hint) or origin is typing.Literal:
        return hint
    if origin is types.UnionType:
        return functools.reduce(operator.or_, inside)
    if origin is typing.Annotated:
        return typing.Annotated[(inside[0], *hint.__metadata__)]
    return origin[inside]


def call_schema(tools: Sequence[Tool]) -> dict[str, object]:
    """What a reply that calls one of `tools`, or none, looks like."""
    ways = [_object(tool=_const(NONE))]
    for tool in tools:
        ways.append(_object(tool=_const(tool.name), arguments={"$ref": f"#/$defs/{tool.name}"}))
    places = {
        tool.name: _bounded(_moved(tool.parameters, f"#/$defs/{tool.name}")) for tool in tools
    }
    return _object(call={"anyOf": ways}) | {"$defs": places}


def _const(value: str) -> dict[str, object]:
    return {"type": "string", "enum": [value]}


def _object(**properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_NAMED = ("properties", "$defs", "definitions", "patternProperties")  # hold parts by free names
_VALUES = ("enum", "const", "default", "examples", "required")  # hold no parts at all


def _moved(schema: typing.Any, to: str) -> typing.Any:
    """`schema` with its references as they must be where it lies at `to` of another one."""

    def of(key: str, value: typing.Any) -> typing.Any:
        if key == "$ref" and isinstance(value, str) and value.startswith("#"):
            return to + value[1:]
        if key in _NAMED and isinstance(value, Mapping):
            return {name: _moved(part, to) for name, part in value.items()}
        return value if key in _VALUES else _moved(value, to)

    if isinstance(schema, Mapping):
        kept = {key: value for key, value in schema.items() if key not in ("$id", "$schema")}
        return {key: of(key, value) for key, value in kept.items()}
    if isinstance(schema, list | tuple):
        return [_moved(one, to) for one in schema]
    return schema


def _bounded(schema: typing.Any, alone: bool = True) -> typing.Any:
    """`schema` with an end to every text and list, and without fields that it does not name.

    Not `alone` is one of which others say more: it can't tell which fields there are.
    """
    if isinstance(schema, list | tuple):
        return [_bounded(one, alone) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, typing.Any] = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            made[key] = {name: _bounded(part) for name, part in value.items()}
        else:
            made[key] = value if key in _VALUES else _bounded(value, key != "allOf")
    kinds = made.get("type")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if "string" in kinds:
        form = made.pop("format", None) or made.get("contentEncoding")
        if form in _PATTERNS:
            made.setdefault("pattern", _PATTERNS[form])
        elif form in _FORMATS:
            made["format"] = form
        elif not {"enum", "const", "pattern"} & set(made):
            made.setdefault("maxLength", max(MOST_CHARACTERS, made.get("minLength", 0)))
    if "integer" in kinds and not {"enum", "const"} & set(made):
        if "exclusiveMinimum" not in made and made.get("maximum", 0) > -MOST_INTEGER:
            made.setdefault("minimum", -MOST_INTEGER)
        if "exclusiveMaximum" not in made and made.get("minimum", 0) < MOST_INTEGER:
            made.setdefault("maximum", MOST_INTEGER)
    if "array" in kinds:
        made.pop("uniqueItems", None)
        if "prefixItems" in made:  # the engines can't read what may follow
            made.pop("items", None)
            made.setdefault("maxItems", len(made["prefixItems"]))
        made.setdefault("maxItems", max(MOST_ITEMS, made.get("minItems", 0)))
    if "object" in kinds and "properties" in made and alone and "allOf" not in made:
        made.setdefault("additionalProperties", False)
    return made
