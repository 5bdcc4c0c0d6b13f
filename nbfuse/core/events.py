"""The events of a run: the only thing that the engine emits and that readers read."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from nbfuse.core.analysis import Analysis
from nbfuse.core.types import Answer, Failure, FusionResult, Mode, Position, Price


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """`seq` counts from 0 within a run; `at` is seconds since its start."""

    run: str = ""
    seq: int = 0
    at: float = 0.0


class TokenPrice(msgspec.Struct, frozen=True):
    """What a model costs, in US dollars a token that it reads or writes."""

    prompt: Decimal
    completion: Decimal


class RunPlanned(_Event, frozen=True):
    """Who will be asked what, before anything is spent; `prices` are None where not known."""

    prompt: str
    pool: str
    members: tuple[str, ...]
    specs: tuple[str, ...]
    judge: str | None
    mode: Mode
    price: Price
    prices: tuple[TokenPrice | None, ...] = ()
    parts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: dict[str, object] = {}
    started_at: str = ""


class MemberStarted(_Event, frozen=True):
    """A member's request has been sent."""

    member: str


class MemberDelta(_Event, frozen=True):
    """More text (or reasoning) of a member."""

    member: str
    text: str = ""
    reasoning: str = ""


class MemberFinished(_Event, frozen=True):
    """A member's answer, complete or cut off by its own limit."""

    member: str
    answer: Answer


class MemberFailed(_Event, frozen=True):
    """A member ended with an error; `answer` holds what had arrived."""

    member: str
    answer: Answer
    failure: Failure


class MemberLate(_Event, frozen=True):
    """A member was left behind: its answer, if any, was not judged."""

    member: str
    answer: Answer


class QuorumReached(_Event, frozen=True):
    """Enough answers are in; stragglers get `grace_s` more seconds."""

    answers: int
    grace_s: float


class JudgeStarted(_Event, frozen=True):
    """The judge begins a task: `verdict`, `analysis`, `writing` or `check`."""

    judge: str
    task: str


class JudgeFailed(_Event, frozen=True):
    """The judge gave nothing usable; the run goes on without it."""

    judge: str
    failure: Failure


class AnalysisReady(_Event, frozen=True):
    """The five lists of a merge."""

    analysis: Analysis


class RoundStarted(_Event, frozen=True):
    """A round of debate over the named members' disputed positions."""

    round: int
    disputed: tuple[str, ...]


class RoundFinished(_Event, frozen=True):
    """Where every member stands after a round."""

    round: int
    positions: tuple[Position, ...]


class SynthesisDelta(_Event, frozen=True):
    """More text of the fused answer, written by the judge."""

    text: str


class RunFinished(_Event, frozen=True):
    """The whole result; nothing follows."""

    result: FusionResult


Event = (
    RunPlanned
    | MemberStarted
    | MemberDelta
    | MemberFinished
    | MemberFailed
    | MemberLate
    | QuorumReached
    | JudgeStarted
    | JudgeFailed
    | AnalysisReady
    | RoundStarted
    | RoundFinished
    | SynthesisDelta
    | RunFinished
)
