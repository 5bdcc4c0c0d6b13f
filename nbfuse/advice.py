"""What is to be expected of a pool before it is asked: price, time, and what speaks against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nbfuse.core.errors import ConfigError, LedgerError, NbfuseError
from nbfuse.core.families import family
from nbfuse.core.pool import Pool, expand
from nbfuse.core.request import Request
from nbfuse.core.types import Price
from nbfuse.fusion.dispatch import grace
from nbfuse.fusion.plan import Member, Plan, make_plan
from nbfuse.fusion.price import LONG_ANSWER, tokens_in
from nbfuse.ledger.ledger import Ledger
from nbfuse.local import memory
from nbfuse.local.catalog import find
from nbfuse.local.fit import fits
from nbfuse.local.speeds import speeds
from nbfuse.providers.registry import openrouter_key

QUESTION = "What should one know about this, and why? " * 20  # some 200 tokens: a typical prompt
ANSWER = 400  # tokens of a typical answer
# tokens that the judge writes one after another; two orders are read at once
JUDGING = {"best-of": 200, "merge": 1000, "debate": 800, "auto": 200}


class Advice(NamedTuple):
    """Of a typical run: US dollars, seconds (None: not known), and warnings for people.

    `unmeasured` are models whose speed is not known.
    """

    price: Price
    seconds: float | None
    warnings: tuple[str, ...]
    unmeasured: tuple[str, ...] = ()


async def advise(pool: Pool, measured: Mapping[str, float] | None = None) -> Advice:
    """Price and time of a typical run of `pool`, and what speaks against it; raises nothing.

    `measured` are tokens a second by spec that are fresher than the history's.
    """
    warnings = list(_warnings(pool))
    try:
        plan = await make_plan(Request(QUESTION, pool))
    except NbfuseError as error:
        return Advice(Price(None, None), None, (*warnings, f"{error.message} {error.hint}".strip()))
    warnings += [*plan.notes, *_too_small(plan)]
    warnings += [m.info.missing for m in plan.members if m.info.missing]
    warnings += _too_large(plan)
    rates = known_rates() | dict(measured or {})
    asked = dict.fromkeys((*plan.members, plan.judge) if _writes(plan.judge) else plan.members)
    unmeasured = dict.fromkeys(
        member.label.partition("#")[0] for member in asked if member.spec not in rates
    )
    return Advice(plan.price, _seconds(plan, rates), tuple(warnings), tuple(unmeasured))


def known_rates() -> dict[str, float]:
    """Tokens a second, waiting included, of each model that is remembered to have answered here."""
    known = {f"local:{name}": rate for name, rate in speeds().items()}
    try:
        return known | Ledger().rates()
    except LedgerError:
        return known


def _warnings(pool: Pool) -> Iterator[str]:
    specs = expand(pool.members)
    families = Counter(map(family, dict.fromkeys(specs)))
    for name, count in families.items():
        if count >= 3 and name != "tiny":  # those know different things
            yield f"{count} models of one family ({name}) tend to make the same mistakes."
    asked = (*specs, pool.judge or specs[0])
    try:
        if openrouter_key() is None and any(spec.startswith("openrouter:") for spec in asked):
            yield "There is no key for OpenRouter: set OPENROUTER_API_KEY."
    except ConfigError as error:
        yield f"{error.message} {error.hint}"


def _too_small(plan: Plan) -> Iterator[str]:
    """A member reads the question and writes; the judge reads the question and all the answers."""
    asked = tokens_in(QUESTION) + tokens_in(plan.pool.system or "")
    for member in dict.fromkeys(plan.members):
        needed = asked + min(ANSWER, plan.pool.max_tokens or ANSWER)
        if member.info.context is not None and needed > member.info.context:
            yield (
                f"{member.label} takes {member.info.context:,} tokens; a typical question with its "
                f"answer and the system prompt have {needed:,}."
            )
    room, longest = plan.judge.info.context, plan.pool.max_tokens or LONG_ANSWER
    needed = asked + len(plan.members) * longest
    if room is not None and plan.judge.info.form == "full" and needed > room:
        yield (
            f"{plan.judge.label} takes {room:,} tokens; {len(plan.members)} answers may have "
            f"{needed:,}: set max_tokens, or choose a judge that takes more."
        )


def _too_large(plan: Plan) -> Iterator[str]:
    """Local models that the free memory can't take."""
    try:
        free = memory.available()
    except ConfigError:  # without psutil nobody can tell
        return
    for member in dict.fromkeys((*plan.members, plan.judge)):
        name = member.spec.removeprefix("local:")
        if name != member.spec and fits(find(name), free) is False:
            yield f"{member.label} does not fit into memory: {memory.gib(free)} are free."


def _writes(judge: Member) -> bool:
    """A judge that only says yes or no takes next to no time."""
    return judge.info.form == "full"


def _seconds(plan: Plan, rates: Mapping[str, float]) -> float | None:
    """As long as the last answer takes that is waited for, and then the judge."""

    def takes(spec: str, tokens: int) -> float | None:
        rate = rates.get(spec)
        return None if rate is None else tokens / rate

    length = min(ANSWER, plan.pool.max_tokens or ANSWER)
    times = [takes(member.spec, length) for member in plan.members]
    here = [time for m, time in zip(plan.members, times, strict=True) if m.provider.local and time]
    times = [  # models of this machine share it
        sum(here) if member.provider.local and time else time
        for member, time in zip(plan.members, times, strict=True)
    ]
    known = sorted(time for time in times if time is not None)
    judge = takes(plan.judge.spec, JUDGING[plan.pool.mode]) if _writes(plan.judge) else 0.0
    if judge is None or len(known) < plan.quorum:
        return None
    enough = known[plan.quorum - 1]
    end = enough + grace(plan.pool, enough)
    return min(known[-1], end, plan.pool.deadline_s) + judge
