"""A vote on contenders: whether to ship one, or which of two answers was better."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

FORM = 1  # of a vote as JSON; a reader of a later form is told to update
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Mark = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{12,64}$")]


class Ballot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vote, which has an `id` for ever; `at` is in UTC.

    Of a `pair`, `contender` was better than `other`, or neither was (`tie`). `question` is a hash.
    """

    form: int = FORM
    id: _Mark
    voter: _Mark
    at: str
    kind: Literal["ship", "skip", "pair"]
    contender: _Name
    other: Annotated[str, msgspec.Meta(max_length=200)] = ""
    tie: bool = False
    question: Annotated[str, msgspec.Meta(max_length=64)] = ""
    prompt: str | None = None

    def __post_init__(self) -> None:
        if self.form != FORM:
            raise ValueError(f"its form is {self.form}")
        datetime.datetime.fromisoformat(self.at)
        if (self.kind == "pair") is not bool(self.other) or self.contender == self.other:
            raise ValueError("a pair has two contenders, and nothing else has")

    @property
    def time(self) -> datetime.datetime:
        """When it was cast; raises `ValueError` where `at` is no time."""
        found = datetime.datetime.fromisoformat(self.at)
        return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)

    @property
    def subject(self) -> tuple[str, ...]:
        """What it is about: a voter's later vote on it stands in for the earlier one."""
        if self.kind == "pair":
            return (self.voter, self.question, *sorted((self.contender, self.other)))
        return (self.voter, self.contender)
