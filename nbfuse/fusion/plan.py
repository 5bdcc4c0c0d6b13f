"""Decides before anything is spent: who is asked, does it fit, what may it cost, is it allowed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from nbfuse.core.call import Message
from nbfuse.core.errors import BudgetError, ConfigError, PrivacyError, PromptError
from nbfuse.core.errors import did_you_mean as near
from nbfuse.core.families import family
from nbfuse.core.fence import stay_inside
from nbfuse.core.pictures import data_urls
from nbfuse.core.pool import Pool, expand, labels
from nbfuse.core.request import Request
from nbfuse.core.types import Answer, Price
from nbfuse.fusion.embedding import Embedding, find_embedding
from nbfuse.fusion.parts import split
from nbfuse.fusion.price import estimate, tokens_in
from nbfuse.fusion.sandbox import check_sandbox
from nbfuse.fusion.schema import Schema, make_schema
from nbfuse.fusion.tools import Tool, make_tools
from nbfuse.paths import is_local_only
from nbfuse.providers.protocol import ModelInfo, Provider
from nbfuse.providers.registry import Target, resolve

SEEING = (
    "Name one that can: for instance openrouter:openai/gpt-5, or a local model after nbfuse pull "
    "local:ministral-3b --vision."
)


class Member(NamedTuple):
    """A model as the run knows it."""

    label: str
    spec: str
    provider: Provider
    model: str
    info: ModelInfo


class Plan(NamedTuple):
    """Everything that is settled before the first request."""

    prompt: str
    pool: Pool
    members: tuple[Member, ...]
    judges: tuple[Member, ...]
    anchor: Member
    quorum: int
    parts: tuple[str, ...]
    price: Price
    notes: tuple[str, ...]
    tools: tuple[Tool, ...] = ()
    images: tuple[str, ...] = ()
    given: Mapping[str, Answer] = {}  # by the labels of members
    schema: Schema | None = None
    embedding: Embedding | None = None
    repair: bool = True

    @property
    def judge(self) -> Member:
        """The first judge, which also analyses and writes."""
        return self.judges[0]

    @property
    def order(self) -> tuple[int, ...]:
        """The places of the members in the order in which they are asked."""
        places = range(len(self.members))
        if not self.pool.local_first:
            return tuple(places)
        return tuple(sorted(places, key=lambda place: not self.members[place].provider.local))

    def messages(self, text: str) -> tuple[Message, ...]:
        """What a member is sent to ask it `text`."""
        system = (Message("system", self.pool.system),) if self.pool.system else ()
        return (*system, Message("user", text, self.images))


async def make_plan(
    request: Request,
    resolve: Callable[[str], Target] = resolve,
) -> Plan:
    """Settle a run, where `resolve` finds who answers a spec.

    Raises `PromptError`, `ConfigError`, `PrivacyError` or `BudgetError`.
    """
    prompt, pool = checked(request.prompt), request.pool
    if is_local_only():
        pool = msgspec.structs.replace(pool, local_only=True)
    if pool.local_only:
        stay_inside()
    if pool.run:
        await check_sandbox()
    usable, wanted = make_tools(request.tools), make_schema(request.schema)
    if wanted is not None:
        wanted.check_run(pool, with_tools=bool(usable))
    pictures = data_urls(request.images)
    specs = expand(pool.members)
    names = labels(specs)
    trusted = _anchor(pool, names, specs)
    judge_specs = tuple(filter(None, (pool.judge or specs[trusted], pool.second_judge)))
    targets = [resolve(spec) for spec in (*specs, *judge_specs)]
    there = {answer.member: answer for answer in request.given}
    asked = [t for t, name in zip(targets, names, strict=False) if _is_asked(pool, name, there)]
    _check_privacy(pool, [*asked, *targets[len(specs) :]])  # before anything is looked up
    embedding = None
    if pool.embedding is not None:
        embedding = await find_embedding(pool.embedding, resolve)
    everybody = await _everybody((*names, *labels(judge_specs)), targets)
    members, judges = everybody[: len(specs)], everybody[len(specs) :]
    judge = judges[0]
    _check_judges(judges)
    if pool.local_only and all(member.info.missing for member in members):
        raise ConfigError(
            f"No member can be asked. {members[0].info.missing}", "Or choose other members."
        )
    in_parts = pool.mode == "merge" and judge.info.form == "compact" and not (usable or wanted)
    parts = split(prompt) if in_parts else ()
    if any(len(answer.parts) != len(parts) for answer in request.given):
        parts = ()
    plan = Plan(
        prompt=prompt,
        pool=pool,
        members=tuple(members),
        judges=tuple(judges),
        anchor=members[trusted],
        quorum=pool.quorum or min(len(members), max(2, math.ceil((len(members) + 1) / 2))),
        parts=parts if len(parts) > 1 else (),
        price=Price(None, None),
        notes=(),
        tools=usable,
        images=pictures,
        given=there,
        schema=wanted,
        embedding=embedding,
        repair=request.repair,
    )
    if pictures and all(member.info.vision is False for member in members):
        raise ConfigError("No member of this pool can see pictures.", SEEING)
    _check_budget(pool, estimate(plan, checks=False))
    return plan._replace(price=estimate(plan, checks=True), notes=tuple(_notes(plan)))


def _check_judges(judges: Sequence[Member]) -> None:
    for judge in judges:
        if judge.info.missing:
            raise ConfigError(
                f"The judge can't be asked. {judge.info.missing}", "Choose another judge."
            )
    if len(judges) > 1 and any(judge.info.form != "full" for judge in judges):
        small = next(judge.label for judge in judges if judge.info.form != "full")
        raise ConfigError(
            f"{small} is too small to judge beside another.", "Leave one of the two judges out."
        )


def checked(prompt: str) -> str:
    """The prompt as it is sent; raises `PromptError` where it can't be."""
    if not prompt.strip():
        raise PromptError("The prompt is empty.", "Write a question.")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"The prompt holds half a character at position {error.start}.",
            "Take it out, or read its source with errors='replace'.",
        ) from error
    return prompt.strip()  # a line break at its end is enough to lead a tiny model astray


async def _everybody(names: Sequence[str], targets: Sequence[Target]) -> list[Member]:
    """Members and judge, with one look at each provider for all of its models."""
    providers = list(dict.fromkeys(target.provider for target in targets))

    async def look(provider: Provider) -> dict[str, ModelInfo]:
        models = [target.model for target in targets if target.provider is provider]
        return dict(zip(models, await provider.describe(models), strict=True))

    known = dict(zip(providers, await asyncio.gather(*map(look, providers)), strict=True))
    return [
        Member(
            name, target.spec, target.provider, target.model, known[target.provider][target.model]
        )
        for name, target in zip(names, targets, strict=True)
    ]


def _anchor(pool: Pool, names: tuple[str, ...], specs: tuple[str, ...]) -> int:
    """The place of the member trusted most."""
    if pool.anchor is None:
        return 0
    for i, either in enumerate(zip(names, specs, strict=True)):
        if pool.anchor in either:
            return i
    raise ConfigError(f"The anchor {pool.anchor!r} is not a member.", near(pool.anchor, names))


def _is_asked(pool: Pool, name: str, given: Mapping[str, Answer]) -> bool:
    """Whether a member may be asked: in a debate even one whose answer is there already."""
    return name not in given or pool.mode == "debate"


def _check_privacy(pool: Pool, targets: Sequence[Target]) -> None:
    outside = sorted({t.spec for t in targets if not (t.provider.local or t.replayed)})
    if pool.local_only and outside:
        hint = "Use local models, or set local_only = false."
        if is_local_only():
            hint = "Use local models: NBFUSE_LOCAL_ONLY holds for this whole machine."
        raise PrivacyError(
            f"This run is local only, but {', '.join(outside)} would leave this machine.", hint
        )


def _check_budget(pool: Pool, price: Price) -> None:
    """Refuse what may cost too much; checks that can be left out are left out, if need be."""
    budget = pool.budget
    if budget is None:
        return
    if price.high is None:
        raise BudgetError(
            "There is a budget, but the price of some model is not known.",
            "Choose models with a known price, or remove the budget.",
        )
    if price.high > budget:
        raise BudgetError(
            f"This run may cost up to ${price.high:.4f}; the budget is ${budget}.",
            "Lower max_tokens, choose cheaper models, or raise the budget.",
        )


def _notes(plan: Plan) -> list[str]:
    notes = []
    for judge in plan.judges:
        if judge.spec in (member.spec for member in plan.members):
            notes.append(f"{judge.label} judges a pool that it is a member of.")
    if len({family(judge.spec) for judge in plan.judges}) < len(plan.judges):
        notes.append("Both judges are of one family, and may err alike.")
    if plan.pool.seed is not None:
        unsure = [member.label for member in plan.members if not member.info.repeatable]
        if unsure:
            notes.append(f"The seed may not repeat what {', '.join(unsure)} said.")
    size = tokens_in(plan.prompt)
    for member in plan.members:
        if member.info.context is not None and size > member.info.context:
            notes.append(
                f"The prompt has about {size:,} tokens; "
                f"{member.label} takes {member.info.context:,}."
            )
    return notes
