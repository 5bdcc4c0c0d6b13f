"""A run at a glance, at any moment of it: who does what, since when, at which price.

It folds events and knows nothing of where it is shown. What has been said is not its business.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from nbfuse.core import events
from nbfuse.core.events import Event, RunPlanned
from nbfuse.core.types import Answer, FusionResult
from nbfuse.fusion.price import CHARACTERS_PER_TOKEN, tokens_in

State = Literal[
    "waiting",
    "thinking",
    "writing",
    "complete",
    "cut off",
    "partial",
    "failed",
    "late",
    "stopped",
    "not asked",
]
RUNNING = ("waiting", "thinking", "writing")
WORK = {
    "verdict": "judges",
    "analysis": "compares the answers",
    "writing": "writes",
    "check": "checks the answers",
    "top two": "compares the two that it put first",
    "gate": "compares the merged answer with the best one",
    "writing on": "writes on",
    "fields": "chooses between values",
}
ENDS = {"complete": "Done", "stopped": "Stopped", "failed": "No answer"}


class Member(msgspec.Struct, kw_only=True):
    """A member as it stands: times are seconds since the run began, money is US dollars.

    `reading` is what its prompt costs and `writing` a token of its answer, None for unknown;
    `tokens` and `paid` are what its server counted, once it has ended.
    """

    name: str
    spec: str
    state: State = "waiting"
    begun: float = 0.0
    first: float | None = None
    end: float | None = None
    characters: int = 0
    reading: Decimal | None = None
    writing: Decimal | None = None
    tokens: int | None = None
    paid: Decimal | None = None
    says: str = ""
    earlier: bool = False

    @property
    def cost(self) -> Decimal | None:
        """What it has cost so far: as counted here while it writes, then as it was billed."""
        if self.end is not None:
            return self.paid
        if self.reading is None or self.writing is None:
            return None
        return self.reading + self.writing * self.characters / CHARACTERS_PER_TOKEN

    def rate(self, at: float) -> float | None:
        """Tokens a second since its first one, at the time `at` or when it ended."""
        if self.first is None:
            return None
        tokens = self.characters / CHARACTERS_PER_TOKEN if self.tokens is None else self.tokens
        took = (at if self.end is None else self.end) - self.first
        return tokens / took if took > 0 and tokens else None


class Work(msgspec.Struct, kw_only=True):
    """A call for the verdict: the judge's, or a member's reply in a debate."""

    name: str
    task: str
    begun: float
    end: float | None = None
    failed: bool = False


class Board:
    """Feed it a run's events with `take`, or a whole result with `finish`."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.work: list[Work] = []
        self.judge = ""
        self.mode = ""
        self.at = 0.0
        self.result: FusionResult | None = None
        self._by_name: dict[str, Member] = {}
        self._quorum = ""

    def take(self, event: Event) -> None:
        """Note what happened."""
        self.at = event.at
        match event:
            case events.MemberDelta():
                self._grow(self._by_name[event.member], event)
            case events.RunPlanned():
                self._plan(event)
            case events.MemberStarted(member=name):
                self._by_name[name].begun = event.at
            case events.MemberFinished() | events.MemberFailed() | events.MemberLate():
                self._end(event.answer)
            case events.QuorumReached(grace_s=grace_s):
                self._quorum = f"; others get {grace_s:.1f} s more"
            case events.JudgeStarted(judge=judge, task=task):
                self._begin(judge, task)
            case events.RoundStarted(round=number):
                self._begin("Everybody", f"round {number}")
            case events.AnalysisReady() | events.RoundFinished():
                self._close()
            case events.JudgeFailed():
                self._close(failed=True)
            case events.RunFinished(result=result):
                self.finish(result)

    def finish(self, result: FusionResult) -> None:
        """Take over the whole result, which knows better than what was heard on the way."""
        self.result, self.mode, self.judge = result, result.mode, result.judge or ""
        self.at = result.seconds
        if not self.members:
            self._name([Member(name=a.member, spec=a.spec) for a in result.answers])
        for answer in result.answers:
            self._end(answer)
        self.work = [
            Work(
                name=call.member,
                task=call.task,
                begun=call.begun_s,
                end=call.begun_s + call.seconds,
                failed=call.failure is not None,
            )
            for call in result.judging
        ]

    @property
    def cost(self) -> Decimal | None:
        """US dollars: of the members so far, in the end of the whole; None where not known."""
        if self.result is not None:
            return self.result.cost
        costs = [member.cost for member in self.members if not member.earlier]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None

    @property
    def status(self) -> str:
        """What happens now, in one sentence without its stop."""
        if self.result is not None:
            return ENDS[self.result.status]
        if self.work and self.work[-1].end is None:
            now = self.work[-1]
            return f"{now.name} {WORK.get(now.task, f'argues, {now.task}')}"
        if not self.members:
            return "Planning"
        ended = sum(member.state not in RUNNING for member in self.members)
        if ended == len(self.members):
            return "All have answered"
        return f"{ended} of {len(self.members)} answered{self._quorum}"

    def _plan(self, plan: RunPlanned) -> None:
        self.mode, self.judge = plan.mode, plan.judge or ""
        size = tokens_in(plan.prompt)
        prices = plan.prices or (None,) * len(plan.members)
        self._name(
            [
                Member(
                    name=name,
                    spec=spec,
                    reading=price.prompt * size if price else None,
                    writing=price.completion if price else None,
                )
                for name, spec, price in zip(plan.members, plan.specs, prices, strict=True)
            ]
        )

    def _name(self, members: list[Member]) -> None:
        self.members = members
        self._by_name = {member.name: member for member in members}

    def _grow(self, member: Member, delta: events.MemberDelta) -> None:
        if member.first is None:
            member.first = delta.at
        member.characters += len(delta.text) + len(delta.reasoning)
        member.state = "writing" if delta.text else "thinking"

    def _end(self, answer: Answer) -> None:
        member, failure = self._by_name[answer.member], answer.failure
        late = (
            not answer.judged and failure is None and answer.status not in ("stopped", "not asked")
        )
        member.state = "late" if late else answer.status
        member.begun, member.end = answer.begun_s, answer.begun_s + answer.seconds
        if answer.first_token_s is not None:
            member.first = answer.begun_s + answer.first_token_s
        member.tokens = answer.usage.completion_tokens if answer.usage else None
        member.paid = answer.cost
        member.says = f"{failure.message} {failure.hint}".strip() if failure else ""
        member.earlier = bool(answer.earlier)

    def _begin(self, name: str, task: str) -> None:
        self._close()
        self.work.append(Work(name=name, task=task, begun=self.at))

    def _close(self, failed: bool = False) -> None:
        if self.work and self.work[-1].end is None:
            self.work[-1].end, self.work[-1].failed = self.at, failed
