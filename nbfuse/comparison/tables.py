"""A comparison as tables of short strings, the same for a notebook, a file and a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.evidence import Figures, Versus
from nbfuse.comparison.pricing import RULE_OF_THUMB, UNKNOWN, Pricing, dollars
from nbfuse.comparison.split import Split, counting
from nbfuse.comparison.take import Take
from nbfuse.evaluation.summary import points
from nbfuse.render.table import seconds

NOTHING = "–"
HOUR = 3600
NO_VOTES = "No votes yet"


class Grid(NamedTuple):
    """A table: what its first column is of, the heads of the others, and rows with their names."""

    of: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def decision(found: Comparison) -> Grid:
    """What one decides by: verdict of the panel, votes, price, best for, category."""
    splits = {split.contender: split for split in found.splits}
    prices = {price.contender: price for price in found.pricing}
    votes = {vote.contender: vote for vote in found.votes}

    def voted(name: str) -> str:
        vote = votes.get(name)
        if vote is None:
            return NO_VOTES
        counted = f"{vote.ship} ship / {vote.skip} skip" if vote.ship + vote.skip else NO_VOTES
        return counted if not vote.rating.votes else f"{counted}; rating {vote.rating}"

    sides = {side.name: side for side in found.sides}
    best = best_for(found)
    return _by_contender(
        found,
        {
            "Panel": lambda name: splits[name].verdict if name in splits else NOTHING,
            "Votes": voted,
            "Pricing": lambda name: short_price(prices[name]),
            "Best for": lambda name: ", ".join(best[name]) or NOTHING,
            "Category": lambda name: sides[name].category,
        },
    )


def _by_contender(found: Comparison, lines: Mapping[str, Callable[[str], str]]) -> Grid:
    rows = tuple((what, *(say(name) for name in found.names)) for what, say in lines.items())
    return Grid("", found.names, rows)


def short_price(price: Pricing) -> str:
    """The price of a question and of a month in a few words."""
    if price.local:
        return f"{price.entry}; {_machine(price.seconds)} a question"
    said = f"{price.entry}; {dollars(price.question)} a question"
    return said if price.month is None else f"{said}, {dollars(price.month)} a month"


def best_for(found: Comparison) -> dict[str, list[str]]:
    """What each contender is best for: what tells it apart, and the reviewers who prefer it."""
    figures = {one.contender: one for one in found.figures}
    made: dict[str, list[str]] = {name: [] for name in found.names}
    ways: dict[str, tuple[str, Callable[[Figures], float | None]]] = {
        "accuracy": ("accuracy", lambda f: f.accuracy),
        "failures": ("reliability", lambda f: -f.failed),
        "price": ("price", lambda f: None if f.cost is None else -float(f.cost)),
        "time": ("speed", lambda f: None if f.p50_s is None else -f.p50_s),
    }
    for way, (word, value) in ways.items():
        values = {name: value(figures[name]) for name in figures}
        known = [v for v in values.values() if v is not None]
        if len(known) < len(values) or not known:
            continue
        top = [name for name, v in values.items() if v == max(known)]
        told = [pair for pair in found.apart if top[0] in (pair.one, pair.other)]
        if len(top) == 1 and told and all(way in pair.by for pair in told):
            made[top[0]].append(word)
    inside = [side.name for side in found.sides if side.local]
    if len(inside) == 1:
        made[inside[0]].append("privacy")
    for reviewer in found.reviewers:
        scores = {
            take.contender: take.score
            for take in counting(found.takes, found.biases)
            if take.reviewer == reviewer and take.score is not None
        }
        if len(scores) == len(found.names):
            top = [name for name, score in scores.items() if score == max(scores.values())]
            if len(top) == 1:
                made[top[0]].append(f"the {reviewer}")
    return made


def scorecard(found: Comparison) -> Grid:
    """Every reviewer's score and verdict on every contender, then mean and spread."""
    takes = {(take.reviewer, take.contender): take for take in found.takes}
    biased = {bias.reviewer for bias in found.biases}
    rows = [
        (
            f"{name} (does not decide)" if name in biased else name,
            *(_score(takes.get((name, contender))) for contender in found.names),
        )
        for name in found.reviewers
    ]
    splits = {split.contender: split for split in found.splits}
    rows.append(("Mean ± spread", *(_mean(splits.get(name)) for name in found.names)))
    return Grid("reviewer", found.names, tuple(rows))


def _score(take: Take | None) -> str:
    if take is None:
        return NOTHING
    return take.verdict if take.score is None else f"{take.score:.0f} · {take.verdict}"


def _mean(split: Split | None) -> str:
    if split is None or split.mean is None:
        return NOTHING
    return f"{split.mean:.0f}" + (f" ± {split.spread:.0f}" if split.spread is not None else "")


def measured(found: Comparison) -> Grid:
    """Accuracy, time, tokens and failures of every contender."""
    figures = {one.contender: one for one in found.figures}

    def told(say: Callable[[Figures], str]) -> Callable[[str], str]:
        return lambda name: say(figures[name])

    return _by_contender(
        found,
        {
            "Right": told(_accuracy),
            "Failed": told(lambda f: f"{f.failed} of {f.asked}"),
            "Time, half within": told(lambda f: _seconds(f.p50_s)),
            "Time, 95 % within": told(lambda f: _seconds(f.p95_s)),
            "Tokens a question": told(lambda f: f"{f.tokens:.0f}"),
            "Calls a question": told(lambda f: f"{f.calls:.1f}"),
        },
    )


def _accuracy(one: Figures) -> str:
    if one.accuracy is None or one.low is None or one.high is None:
        return "no references"
    return f"{one.accuracy:.1%} ({one.low:.0%} to {one.high:.0%}, of {one.graded})"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else seconds(value)


def pricing(found: Comparison) -> Grid:
    """What every contender costs: by its list, as measured, a month, and beside one call."""
    prices = {price.contender: price for price in found.pricing}
    monthly = next((price.monthly for price in found.pricing), None)
    month = "A month" if monthly is None else f"A month of {monthly:,} questions"

    def told(say: Callable[[Pricing], str]) -> Callable[[str], str]:
        return lambda name: say(prices[name])

    def in_month(price: Pricing) -> str:
        if monthly is None:
            return "rate not known: give monthly"
        if price.local:
            return _machine(None if price.seconds is None else price.seconds * monthly)
        return dollars(price.month)

    return _by_contender(
        found,
        {
            "Entry": told(lambda p: p.entry),
            "List price, in / out": lambda name: listed(found, name),
            "A question, as measured": told(
                lambda p: _machine(p.seconds) if p.local else dollars(p.question)
            ),
            month: told(in_month),
            f"Money against one call ({RULE_OF_THUMB} is usual)": told(
                lambda p: _times(p.overhead)
            ),
            f"Time against one call ({RULE_OF_THUMB} is usual)": told(lambda p: _times(p.slowdown)),
            "Disk and memory": told(lambda p: p.weights or NOTHING),
        },
    )


def listed(found: Comparison, name: str) -> str:
    """Dollars for a million tokens in and out, of each model that is billed."""
    side = next(side for side in found.sides if side.name == name)
    billed = [model for model in side.models if not model.local]
    if not billed:
        return "nothing is billed"
    each = [
        f"{dollars(model.prompt)} / {dollars(model.completion)}"
        + (f" ({model.spec.rpartition('/')[2]})" if len(side.models) > 1 else "")
        for model in billed
    ]
    return "; ".join(each)


def _machine(value: float | None) -> str:
    """Seconds that this machine is at work, or hours of them."""
    if value is None:
        return UNKNOWN
    if value < HOUR:
        return f"{seconds(value)} of this machine"
    return f"{value / HOUR:,.1f} h of this machine"


def _times(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.1f} ×"


def pairs(found: Comparison) -> list[str]:
    """What is to be said of every two contenders."""
    return [
        f"{_agreement(pair)} {told.words}"
        for pair, told in zip(found.versus, found.apart, strict=True)
    ]


def _agreement(pair: Versus) -> str:
    said = (
        f"{pair.one} and {pair.other} say the same on {pair.agree} of {pair.comparable} questions"
    )
    if not pair.comparable:
        said = f"Whether {pair.one} and {pair.other} say the same can't be compared"
    if pair.accuracy is None:
        return f"{said}."
    better = f"{pair.accuracy.better} to {pair.accuracy.worse}"
    return f"{said}; accuracy {points(pair.accuracy)}, p = {pair.accuracy.p:.2g} ({better})."


def split_lines(found: Comparison) -> list[str]:
    """Who dissents and on what, and who contradicts itself."""
    lines = []
    for split in found.splits:
        for one in split.dissent:
            where = f", on {one.criterion} most" if one.criterion else ""
            side = "above" if one.points > 0 else "below"
            would = f"it would {one.verdict}, " if one.verdict else ""
            far = f"{abs(one.points):.0f} points {side} the median{where}"
            lines.append(f"{one.reviewer} dissents on {split.contender}: {would}{far}.")
        for name in split.flips:
            lines.append(f"{name} would decide otherwise on {split.contender} in the other order.")
    lines += [f"{bias.reviewer} does not decide: {bias.found}." for bias in found.biases]
    return lines


def shares(found: Comparison) -> list[tuple[str, str]]:
    """The share of reviewers who would ship each contender."""
    return [
        (
            split.contender,
            NOTHING
            if split.share is None
            else f"{split.share:.0%} ship ({split.ship} of {split.takes})",
        )
        for split in found.splits
    ]
