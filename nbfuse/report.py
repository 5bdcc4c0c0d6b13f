"""Plans, pools and models as lines of text, for the magic and the command line alike."""

from __future__ import annotations

import argparse
import contextlib
import datetime
from decimal import Decimal

from nbfuse.config import default_pool, pools
from nbfuse.core.clean import clean
from nbfuse.core.errors import ConfigError, ModelError
from nbfuse.core.pool import Pool
from nbfuse.fusion.plan import Plan
from nbfuse.fusion.price import tokens_in
from nbfuse.ledger.ledger import Ledger, PastRun
from nbfuse.local.catalog import catalog, from_file
from nbfuse.local.speeds import speeds
from nbfuse.local.weights import elsewhere
from nbfuse.paths import is_local_only
from nbfuse.providers.protocol import ModelInfo
from nbfuse.providers.registry import openrouter, openrouter_key
from nbfuse.render.table import price, seconds


def plan_text(plan: Plan) -> str:
    """Who would be asked, how large the prompt is, and the price, low to high."""
    members = ", ".join(member.label for member in plan.members)
    lines = [
        f"Would ask {members}; {plan.judge.label} judges ({plan.pool.mode}).",
        f"Prompt: about {tokens_in(plan.prompt):,} tokens for each of them.",
        f"Price: {_price_range(plan)}.",
    ]
    lines += [f"Part {i}: {part}" for i, part in enumerate(plan.parts, 1)]
    return "\n".join([*lines, *plan.notes])


def _price_range(plan: Plan) -> str:
    low, high = plan.price.low, plan.price.high
    if low is None or high is None:
        return "not known for every model"
    return "nothing, all models are local" if high == 0 else f"${low:.4f} to ${high:.4f}"


def pool_line(pool: Pool, reason: str) -> str:
    """One line that names the pool of a run, and why it is this one."""
    name = f"pool {pool.name}" if pool.name else "an unnamed pool"
    return f"nbfuse: {name} ({', '.join(pool.members)}; judge {pool.judge}), because {reason}."


def pools_text() -> str:
    """Every pool, the default marked."""
    chosen = default_pool()
    lines = []
    for name, pool in pools().items():
        mark = "*" if name == chosen.pool.name else " "
        lines.append(f"{mark} {name}: {', '.join(pool.members)}; judge {pool.judge or 'the first'}")
    return "\n".join([*lines, f"* is the default: {chosen.reason}."])


async def known_models(search: str = "") -> tuple[list[tuple[str, ModelInfo]], list[str]]:
    """Models that can be asked, as (spec, info), and a line for each place that could not be seen.

    Asks OpenRouter's list only where there is a key; `search` keeps what has that word in its name.
    """
    found = [(f"local:{name}", m.info(name)) for name, m in catalog().items() if m.here]
    troubles = []
    if is_local_only():
        troubles.append("OpenRouter: not asked, this machine is local only (NBFUSE_LOCAL_ONLY).")
    elif openrouter_key() is None:
        troubles.append("OpenRouter: no key (set OPENROUTER_API_KEY).")
    else:
        try:
            found += [(f"openrouter:{info.id}", info) for info in await openrouter().models()]
        except ModelError as error:
            troubles.append(f"{error.message} {error.hint}")
    word = search.lower()
    return [(s, info) for s, info in found if word in f"{s} {info.name}".lower()], troubles


LOCAL_HEADS = ("model", "size", "fits", "here", "licence", "tokens/s here")


def local_rows(search: str = "") -> list[tuple[str, str, str, str, str, str]]:
    """Every local model: how large it is, whether it fits and is here, its licence, its speed."""
    from nbfuse.local.fit import fits
    from nbfuse.local.memory import available, gib

    free: int | None = None
    with contextlib.suppress(ConfigError):  # without psutil the rest can still be told
        free = available()
    rates, word = speeds(), search.lower()
    found = catalog() | {name: from_file(path) for name, path in elsewhere().items()}
    return [
        (
            f"local:{name}",
            gib(model.size) if model.size else "?",
            {True: "yes", False: "no", None: "?"}[None if free is None else fits(model, free)],
            "yes" if model.here else "no",
            model.license or "?",
            f"{rates[name]:g}" if name in rates else "",
        )
        for name, model in found.items()
        if word in f"{name} {model.expertise}".lower()
    ]


def fit_rows(name: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and lines of the table that tells how a model fits."""
    from nbfuse.local.fit import SMALL, table
    from nbfuse.local.memory import available, gib

    free = available()
    heads = ("quantisation", "size", "memory", f"here, {gib(free)} free")
    small = tuple(f"{size} GiB machine" for size in SMALL)
    lines = [(f.quantisation, f.size, f.memory, f.here, *f.small) for f in table(name, free)]
    return heads + small, lines


def model_row(spec: str, info: ModelInfo) -> tuple[str, str, str, str]:
    """Spec, context, price per million tokens (in / out), and what it is for."""
    context = f"{info.context:,}" if info.context else "?"
    if info.local:
        price = "free"
    elif info.prompt_price is None or info.completion_price is None:
        price = "?"
    else:
        million = Decimal(1_000_000)
        price = f"${info.prompt_price * million:.2f} / ${info.completion_price * million:.2f}"
    return spec, context, price, info.expertise or info.name


HISTORY_HEADS = ("run", "when", "pool", "time", "price", "vote", "question")
MOST_OF_A_LINE = 60  # characters


def past_runs(options: argparse.Namespace) -> list[PastRun]:
    """The runs that the options of a history choose; raises `LedgerError` or `ConfigError`."""
    if options.older:
        raise ConfigError("--older belongs to --clear.", "Write both, or --day for one day.")
    return Ledger().runs(
        " ".join(options.search),
        pool=options.pool,
        model=options.model,
        day=options.day,
        least_cost=options.cost,
        limit=options.limit,
    )


def history_row(run: PastRun) -> tuple[str, str, str, str, str, str, str]:
    """A run's name, when it began in this place, who was asked, its time, price and question."""
    began = datetime.datetime.fromisoformat(run.started_at).astimezone()
    asked = run.pool or ", ".join(spec.rpartition("/")[2] for spec in run.models)
    return (
        run.run[:8],
        f"{began:%Y-%m-%d %H:%M}",
        asked,
        run.status if run.seconds is None else seconds(run.seconds),
        "" if run.seconds is None else price(run.cost),
        ", ".join(f"{vote} {member}".strip() for member, vote in run.votes),
        brief(run.prompt),
    )


def brief(text: str) -> str:
    """Foreign text on one line of a bearable length."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= MOST_OF_A_LINE else f"{line[: MOST_OF_A_LINE - 1]}…"


def cleared(options: argparse.Namespace) -> str:
    """Forget what the options say, and how many runs that were; raises `ConfigError`."""
    if options.search or options.pool or options.model or options.day or options.cost is not None:
        raise ConfigError("--clear forgets by age alone.", "Give it --older DAYS, or nothing.")
    count = Ledger().clear(options.older)
    return f"{count} run{'s' * (count != 1)} forgotten."


MODEL_HEADS = ("model", "context", "price / million tokens", "")
