"""What comes of a run: answers, verdicts, results.

Frozen structs that round-trip through JSON (`to_json`, `from_json`). Money is `Decimal` US dollars
or None for unknown, durations are seconds, token counts are ints.
"""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

from nbfuse.core.analysis import Analysis
from nbfuse.core.call import Usage
from nbfuse.core.shapes import FieldSupport, instance

SCHEMA = 1

Mode = Literal["best-of", "merge", "debate", "auto"]
AnswerKind = Literal["number", "choice", "label", "json", "code", "text"]
AnswerStatus = Literal["complete", "cut off", "partial", "failed", "stopped", "not asked"]
DecidedBy = Literal[
    "agreement", "judge", "merge", "only survivor", "fallback", "you", "stopped", "nobody"
]
Confidence = Literal["high", "medium", "low"]
Margin = Literal["clear", "slight", "none"]
JudgeForm = Literal["full", "compact", "sliding window"]
RunStatus = Literal["complete", "stopped", "failed"]

# Failures after which nothing can have been billed; a timeout or a broken stream may have been.
_REFUSALS = frozenset(
    {
        *("AuthError", "CreditsError", "ModerationError", "RateLimitError", "ContextTooLongError"),
        *("ModelNotFoundError", "ModelFileError", "ProviderUnavailableError", "BadRequestError"),
    }
)

_T = TypeVar("_T")


class Failure(msgspec.Struct, frozen=True):
    """An error as data: its kind (a class name of `nbfuse.core.errors`), text and remedy."""

    kind: str
    message: str
    hint: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A tool that a member called, with which arguments, and what it gave; or how it failed."""

    name: str
    arguments: dict[str, object]
    result: str = ""
    failed: bool = False

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({arguments}) {'failed:' if self.failed else '→'} {self.result}".strip()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one member (or the judge) said, whole or not, with its times and its price.

    `tool_calls` are what it called before it answered (its last call, where that is the answer).
    `local` tells that it was said on this machine, where nothing is billed. `parts` holds one text
    for each part of a question that was split. `judged` is False for an answer that came too late
    to be considered. `earlier` names the run that it was given in, where that is not this one.
    `begun_s` is when it was asked, counted from the start of its run; `task` is what a call of the
    judge was for.
    """

    member: str
    spec: str
    text: str = ""
    reasoning: str = ""
    status: AnswerStatus = "complete"
    parts: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    begun_s: float = 0.0
    first_token_s: float | None = None
    seconds: float = 0.0
    task: str = ""
    model: str | None = None
    provider: str | None = None
    local: bool = False
    generation_id: str | None = None
    failure: Failure | None = None
    judged: bool = True
    earlier: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is text to show and to judge."""
        return bool(self.text.strip()) and self.status != "failed"

    @property
    def wanting(self) -> bool:
        """Whether it failed, was stopped, or holds nothing: what may be asked for once more."""
        return self.failure is not None or self.status == "stopped" or not self.usable

    @property
    def cost(self) -> Decimal | None:
        """US dollars, None for unknown; nothing for a call that was refused before any work."""
        if self.local or self.status == "not asked":
            return Decimal(0)
        if self.usage is not None:
            return self.usage.cost
        refused = self.failure is not None and self.failure.kind in _REFUSALS
        return Decimal(0) if refused and not self.text else None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A judge's marks for one member: 0 to 4 each, or `p_right`, a probability, or both unknown."""

    member: str
    correctness: int | None = None
    completeness: int | None = None
    instruction_fit: int | None = None
    risk: str = ""
    errors: tuple[str, ...] = ()
    p_right: float | None = None
    part: int = 0


class Objection(msgspec.Struct, frozen=True):
    """An error that a member shows in the answer `of` another, in words that stand there."""

    of: str
    quote: str
    why: str


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a member stood before and after a round of debate, and why it moved or did not.

    `located` tells that it changed for an error which it could show in its own words; `conformed`
    tells that it would have gone along without an error to show, and so was kept where
    it stood; `lost` that it did not reply, and so has no vote with its last word.
    """

    member: str
    before: str
    after: str
    changed: bool = False
    why: str = ""
    round: int = 1
    conformed: bool = False
    lost: bool = False
    located: bool = False
    case: str = ""
    objections: tuple[Objection, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How the fused answer was decided.

    `best` is the winning member; for a question in parts, `parts` has one winner for each. `order`
    is the order in which the judge saw the members (it saw letters, not names), drawn with `seed`.
    `support` tells how many members stood behind each distinct answer, the largest group first,
    where answers could be compared. Of the judge's comparisons `asked_twice` were made in both
    orders, and `flips` of them came out otherwise in the other one; `form` is how it was asked.
    `accuracy` is the share of right answers, over `accuracy_of` questions of the user's own, where
    members agreed as they do here. `flagged` are members whose answers speak to the judge.
    """

    decided_by: DecidedBy
    best: str | None = None
    parts: tuple[str, ...] = ()
    runner_up: str | None = None
    margin: Margin | None = None
    confidence: Confidence = "low"
    none_acceptable: bool = False
    reason: str = ""
    scores: tuple[Score, ...] = ()
    order: tuple[str, ...] = ()
    seed: int | None = None
    support: tuple[int, ...] = ()
    asked_twice: int = 0
    flips: int = 0
    form: JudgeForm | None = None
    accuracy: float | None = None
    accuracy_of: int = 0
    flagged: tuple[str, ...] = ()


class Price(msgspec.Struct, frozen=True):
    """An estimate in US dollars; None where a member's price is not known."""

    low: Decimal | None
    high: Decimal | None


class FusionResult(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Everything a run produced; `text` is the fused answer, `settings` are those of its pool.

    `provenance` names, for each paragraph of a merged answer, the members whose words it has;
    `minority` is where members stand that the outcome of a debate has not followed. Of a structured
    answer `text` is its JSON, `fields` tells who stands behind what, `answer_schema` is the JSON
    schema that was asked for, and `answer_model` names the pydantic model that it is of, if any.
    `images` counts the pictures that went along, `tools` names what members could call.

    `str(result)` is the fused answer, `result["name"]` is a member's `Answer`, `to_json(result)`
    keeps it and `from_json(FusionResult, …)` brings it back.
    """

    run: str
    prompt: str
    mode: Mode
    text: str
    verdict: Verdict
    answers: tuple[Answer, ...]
    judging: tuple[Answer, ...] = ()
    analysis: Analysis | None = None
    positions: tuple[Position, ...] = ()
    provenance: tuple[tuple[str, ...], ...] = ()
    minority: tuple[Position, ...] = ()
    parts: tuple[str, ...] = ()
    fields: tuple[FieldSupport, ...] = ()
    answer_schema: dict[str, object] = {}
    answer_model: str = ""
    images: int = 0
    tools: tuple[str, ...] = ()
    pool: str = ""
    settings: dict[str, object] = {}
    judge: str | None = None
    status: RunStatus = "complete"
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    started_at: str = ""
    version: str = ""
    schema: int = SCHEMA

    @functools.cached_property
    def value(self) -> object:
        """The structured answer: an instance of the pydantic model that was asked for, else a dict.

        Also a dict where the model is not known to this process, as after `from_json`; None without
        a schema, or where the text does not obey it.
        """
        if not self.answer_schema:
            return None
        return instance(self.answer_schema, self.answer_model, self.text)

    @property
    def cost(self) -> Decimal | None:
        """US dollars of all calls; None as soon as one call's price is unknown.

        A call that was refused before any work is not billed.
        """
        costs = [call.cost for call in self.calls]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None

    @property
    def tokens(self) -> int:
        """Tokens that all calls wrote, as far as their servers counted them."""
        return sum(call.usage.completion_tokens for call in self.calls if call.usage)

    @property
    def calls(self) -> tuple[Answer, ...]:
        """Every call of the run: the members' answers, the judge's, and replies in a debate.

        Answers of an earlier run were paid for there.
        """
        mine = tuple(answer for answer in self.answers if not answer.earlier)
        return mine + self.judging

    def __getitem__(self, member: str) -> Answer:
        for answer in self.answers:
            if answer.member == member:
                return answer
        names = ", ".join(answer.member for answer in self.answers)
        raise KeyError(f"no member {member!r} in this run; its members are {names}")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return (
            f"<FusionResult {self.mode} of {len(self.answers)} answers, "
            f"decided by {self.verdict.decided_by}: {self.text[:60]!r}>"
        )


def to_json(value: object) -> str:
    """The JSON text of a public type, or of a list of them."""
    return msgspec.json.encode(value).decode()


def from_json(kind: type[_T], text: str | bytes) -> _T:
    """The value that `to_json` wrote; raises `msgspec.ValidationError` for anything else."""
    return msgspec.json.decode(text, type=kind)
