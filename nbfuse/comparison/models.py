"""What is known of a contender's models without asking them: licence, size, price, where they are.

Unknown is None, and never 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from nbfuse.comparison.contenders import Contender
from nbfuse.core.errors import NbfuseError
from nbfuse.core.pool import expand
from nbfuse.fusion.plan import Member, Plan
from nbfuse.local.catalog import find
from nbfuse.local.fit import head
from nbfuse.local.memory import gib, need, settings

MILLION = 1_000_000
ON_THIS_MACHINE = ("local:", "gguf:", "mlx:", "hf:")


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One model: prices are US dollars for a million tokens, sizes bytes, the context tokens.

    `zdr` tells whether some server of it keeps nothing of what it is asked.
    """

    spec: str
    local: bool
    licence: str = ""
    context: int | None = None
    prompt: Decimal | None = None
    completion: Decimal | None = None
    disk: int | None = None
    memory: int | None = None
    zdr: bool | None = None

    @property
    def entry(self) -> str:
        """What one needs to begin."""
        if self.local:
            return f"open weights, {self.licence}" if self.licence else "open weights"
        if self.prompt is None or self.completion is None:
            return "price not known"
        return "free" if self.prompt == self.completion == 0 else "paid"


def facts_of(contender: Contender, plan: Plan | None) -> tuple[ModelFacts, ...]:
    """What is known of each of its models; `plan` is how it is asked, None for a saved result."""
    members = {m.spec: m for m in (*plan.members, *plan.judges)} if plan is not None else {}
    return tuple(_facts(spec, members.get(spec)) for spec in contender.specs)


def _facts(spec: str, member: Member | None) -> ModelFacts:
    local = member.provider.local if member is not None else spec.startswith(ON_THIS_MACHINE)
    info = member.info if member is not None else None
    if local:
        disk, memory, licence = _weights(spec)
        return ModelFacts(
            spec=spec,
            local=True,
            licence=licence,
            context=info.context if info is not None else None,
            disk=disk,
            memory=memory,
        )
    million = Decimal(MILLION)
    prompt = info.prompt_price if info is not None else None
    completion = info.completion_price if info is not None else None
    return ModelFacts(
        spec=spec,
        local=False,
        context=info.context if info is not None else None,
        prompt=None if prompt is None else prompt * million,
        completion=None if completion is None else completion * million,
        zdr=info.zdr if info is not None else None,
    )


def _weights(spec: str) -> tuple[int | None, int | None, str]:
    """Bytes on disk and in memory, and the licence, of a local model as far as they are known."""
    name = spec.removeprefix("local:")
    if name == spec:
        return None, None, ""
    try:
        model = find(name)
    except NbfuseError:
        return None, None, ""
    memory = None
    with contextlib.suppress(NbfuseError, StopIteration):  # it may not be here to be read
        header = head(model)
        if header is not None:
            memory = need(header, next(settings(header, model.context))).total
    return model.size, memory, model.license


def licences(models: Sequence[ModelFacts]) -> str:
    """The licences of all; those that are not known, said so."""
    known = list(dict.fromkeys(model.licence for model in models if model.licence))
    unknown = sum(not model.licence for model in models)
    if not known:
        return "licence not known"
    return ", ".join(known) + (f"; of {unknown} not known" if unknown else "")


def size(models: Sequence[ModelFacts]) -> str:
    """Disk and memory of the local models together; empty for none."""
    mine = [model for model in models if model.local]
    if not mine:
        return ""
    disk, memory = _total([m.disk for m in mine]), _total([m.memory for m in mine])
    return f"{disk} on disk, {memory} of memory"


def _total(sizes: Sequence[int | None]) -> str:
    known = [one for one in sizes if one is not None]
    return gib(sum(known)) if len(known) == len(sizes) else "not known"


def context(models: Sequence[ModelFacts]) -> str:
    """The shortest context among them; empty where one is not known."""
    known = [model.context for model in models if model.context is not None]
    return f"{min(known):,} tokens" if known and len(known) == len(models) else ""


def privacy(models: Sequence[ModelFacts]) -> str:
    """Where prompts go."""
    out = [model for model in models if not model.local]
    if not out:
        return "nothing leaves this machine"
    zdr = "" if any(m.zdr is not True for m in out) else "; servers that keep nothing can be had"
    return f"prompts leave this machine for {', '.join(m.spec for m in out)}{zdr}"


def category(contender: Contender, models: Sequence[ModelFacts]) -> str:
    """What kind of thing it is, in a word or two."""
    where = {model.local for model in models}
    place = "local" if where == {True} else "cloud" if where == {False} else "mixed"
    if contender.kind == "result":
        return f"{place}, saved result"
    return f"{place} {contender.kind}"


def one_line(contender: Contender) -> str:
    """Who it is, in one line."""
    pool, count = contender.pool, len(expand(contender.pool.members))
    if contender.kind == "model":
        return "one model, asked as it is"
    judge = pool.judge or expand(pool.members)[0]
    if contender.kind == "result" and count == 1:
        return f"what {pool.members[0]} has said"
    said = "a saved result of " if contender.kind == "result" else ""
    return f"{said}{count} members ({', '.join(pool.members)}), {pool.mode}, judge {judge}"


def alike(one: Sequence[ModelFacts], other: Sequence[ModelFacts]) -> bool:
    """Whether all that is known of two contenders beside their answers is the same."""

    def told(models: Sequence[ModelFacts]) -> list[Mapping[str, object]]:
        facts = [msgspec.structs.asdict(model) for model in models]
        return sorted(({k: v for k, v in f.items() if k != "spec"} for f in facts), key=repr)

    return told(one) == told(other)
