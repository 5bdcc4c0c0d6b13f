"""A result as the view in the browser reads it: short strings, harmless HTML, and the analysis."""

from __future__ import annotations

from nbfuse.core.clean import clean
from nbfuse.core.types import FusionResult
from nbfuse.render.fields import FIELD_HEADS, field_rows
from nbfuse.render.findings import Finding, checks, findings, moves, unfound
from nbfuse.render.table import called, headline, price, rows, seconds, sureness


def sheet(result: FusionResult) -> dict[str, object]:
    """What the view shows beside the answers themselves, as JSON holds it."""
    verdict, analysis, fields = result.verdict, result.analysis, field_rows(result)
    return {
        "run": result.run,
        "status": result.status,
        "headline": headline(result),
        "seconds": seconds(result.seconds),
        "price": price(result.cost),
        "reason": clean(f"{verdict.reason} {sureness(verdict)}"),
        "notes": [clean(note) for note in result.notes],
        "rows": [list(row) for row in rows(result)],
        "fields": [list(row) for row in ([FIELD_HEADS, *fields] if fields else ())],
        "best": [name for name in (verdict.best, *verdict.parts) if name],
        "retry": [a.member for a in result.answers if a.wanting],
        "calls": {a.member: [called(c) for c in a.tool_calls] for a in result.answers},
        "positions": [[who, clean(what)] for who, what in moves(result)],
        "checks": [clean(line) for line in checks(result)],
        "analysis": []
        if analysis is None
        else [
            [head, [_finding(item) for item in items]] for head, items in findings(analysis).items()
        ],
        "unfound": unfound(analysis) if analysis is not None and analysis.unfound else "",
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "text": clean(finding.text),
        "voices": [
            [voice.member, clean(voice.stance), [clean(quote) for quote in voice.quotes]]
            for voice in finding.voices
        ],
    }
