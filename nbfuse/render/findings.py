"""An analysis as one reads it: what was found under each heading, who says it, in which words."""

from __future__ import annotations

from typing import NamedTuple

from nbfuse.core.analysis import Analysis, QuotedList
from nbfuse.core.types import FusionResult

MOST_OF_A_POSITION = 160  # characters


class Voice(NamedTuple):
    """A member behind a finding: what it holds, where members differ, and its own words."""

    member: str
    stance: str
    quotes: tuple[str, ...]


class Finding(NamedTuple):
    """One item of the analysis."""

    text: str
    voices: tuple[Voice, ...] = ()


def findings(analysis: Analysis) -> dict[str, list[Finding]]:
    """The findings by heading, without headings under which there is nothing."""
    said: dict[tuple[QuotedList, int, str], list[str]] = {}
    for quote in analysis.quotes:
        said.setdefault((quote.of, quote.item, quote.member), []).append(quote.text)

    def voice(of: QuotedList, item: int, member: str, stance: str = "") -> Voice:
        return Voice(member, stance, tuple(said.get((of, item, member), ())))

    def quoted(of: QuotedList, item: int) -> tuple[Voice, ...]:
        return tuple(voice(*key) for key in said if key[:2] == (of, item))

    found = {
        "All say": [
            Finding(text, quoted("consensus", i)) for i, text in enumerate(analysis.consensus)
        ],
        "They differ": [
            Finding(
                c.topic, tuple(voice("contradictions", i, s.model, s.stance) for s in c.stances)
            )
            for i, c in enumerate(analysis.contradictions)
        ],
        "Only some say": [
            Finding(p.point, tuple(voice("partial_coverage", i, model) for model in p.models))
            for i, p in enumerate(analysis.partial_coverage)
        ],
        "Only one saw": [
            Finding(u.insight, (voice("unique_insights", i, u.model),))
            for i, u in enumerate(analysis.unique_insights)
        ],
        "Nobody covered": [Finding(text) for text in analysis.blind_spots],
    }
    return {head: items for head, items in found.items() if items}


def spoken(voice: Voice) -> str:
    """A member, what it holds and its own words, on one line."""
    stance = f"says {voice.stance}" if voice.stance else ""
    return " ".join(filter(None, (voice.member, stance, *(f"“{q}”" for q in voice.quotes))))


def moves(result: FusionResult) -> list[tuple[str, str]]:
    """Who changed an answer in a debate, who did not, and why; and who does not follow it."""
    several = any(position.round > 1 for position in result.positions)
    lines = []
    for p in result.positions:
        did = "changed" if p.changed else "kept"
        lines.append((p.member, f"{did} its answer{f' in round {p.round}' * several}. {p.why}"))
    for p in result.minority:
        case = f" Its case: {p.case}" if p.case else ""
        lines.append((p.member, f"does not follow: it says {_brief(p.after)}.{case}"))
    return lines


def checks(result: FusionResult) -> list[str]:
    """How the fused answer was checked: against the order of reading, and against its sources."""
    verdict, lines = result.verdict, []
    if verdict.asked_twice:
        times = "once" if verdict.asked_twice == 1 else f"{verdict.asked_twice} times"
        flips = f"{verdict.flips or 'none'} came out otherwise in the other one"
        lines.append(f"Compared {times} in two opposite orders; {flips}.")
    if verdict.form == "compact":
        lines.append("Judged in the compact form: each answer by itself, from one token.")
    if verdict.form == "sliding window":
        lines.append("Judged through a sliding window: a few answers at a time.")
    sources = result.provenance
    if sources:
        backed = sum(map(bool, sources))
        lines.append(f"{backed} of {len(sources)} paragraphs have words of a member.")
        lines += [
            f"Paragraph {i}: {', '.join(members) or 'the writer alone'}."
            for i, members in enumerate(sources, 1)
        ]
    return lines


def _brief(text: str) -> str:
    words = " ".join(text.split())
    return f"“{words[:MOST_OF_A_POSITION]}{'…' * (len(words) > MOST_OF_A_POSITION)}”"


def unfound(analysis: Analysis) -> str:
    """What is said of quotes that were left out."""
    count = analysis.unfound
    are = "quote of the judge is" if count == 1 else "quotes of the judge are"
    return f"{count} {are} not in the answers, and left out."
