"""Structured answers: who stands behind a field, and which model of the user's they are of.

A result is data and holds the JSON schema alone; the model, as long as the user has it, is found
again by that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, Protocol, TypeGuard
from weakref import WeakValueDictionary

import msgspec

FieldDecision = Literal["agreement", "judge", "most votes", "anchor", "first", "whole answer"]


class FieldSupport(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a structured answer: its value, and who stands behind it.

    `path` is its JSON pointer (RFC 6901). Values are JSON texts, None for a field that is left out.
    `members` gave this value, out of `of` that answered; `others` are the other values, each with
    who gave it. It was `decided_by` the agreement of more than half, the judge, the most votes, the
    anchor's value in a tie (the `first` where it has none), or because one member's `whole answer`
    was taken.
    """

    path: str
    value: str | None
    members: tuple[str, ...]
    of: int
    decided_by: FieldDecision
    others: tuple[tuple[str | None, tuple[str, ...]], ...] = ()


class Model(Protocol):
    """What is used of a class of pydantic's."""

    def model_json_schema(self) -> dict[str, object]:
        """Its JSON schema."""
        ...

    def model_validate_json(self, text: str, /) -> object:
        """An instance; raises a `ValueError`."""
        ...


_models: WeakValueDictionary[str, Model] = WeakValueDictionary()


def is_model(given: object) -> TypeGuard[Model]:
    """Whether it is a model, and not an instance of one."""
    methods = ("model_json_schema", "model_validate_json")
    return isinstance(given, type) and all(callable(getattr(given, one, None)) for one in methods)


def remember(schema: Mapping[str, object], model: Model) -> str:
    """Find `model` by its schema and the name that this gives; the last of two with both alike."""
    name = f"{getattr(model, '__module__', '')}.{getattr(model, '__qualname__', '')}"
    _models[_key(schema, name)] = model
    return name


def model_of(schema: Mapping[str, object], name: str) -> Model | None:
    """The model with that schema and name, where this process has met it and it is still there."""
    return _models.get(_key(schema, name)) if name else None


def instance(schema: Mapping[str, object], name: str, text: str) -> object:
    """What a JSON text is an instance of: the model, else a dict; None where it does not obey."""
    model = model_of(schema, name)
    try:
        return json.loads(text) if model is None else model.model_validate_json(text)
    except Exception:  # a validator of the user's own may raise anything
        return None


def _key(schema: Mapping[str, object], name: str) -> str:
    return f"{name} {json.dumps(schema, sort_keys=True)}"
