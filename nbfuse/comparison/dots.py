"""The reviewers' scores as dots on a line for each contender, as a picture.

An SVG as an image: it can do nothing, and a saved notebook keeps it. Its greys and blue stand out
on white and on black.
"""

from __future__ import annotations

import base64
from collections import Counter
from html import escape

from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.split import Split
from nbfuse.core.clean import clean

WIDTH, ROW, MARGIN, TOP = 640, 60, 16, 8
GREY, BLUE, RADIUS = "#7a7a7a", "#3f83f8", 6
LONGEST_NAME = 70  # characters


def dots(found: Comparison) -> str:
    """An `<img>` with its words; empty where nobody has a score."""
    scored = [split for split in found.splits if split.mean is not None]
    if not scored:
        return ""
    words = escape(clean(described(found)), quote=True)
    drawn = base64.b64encode(_svg(found, scored).encode()).decode()
    return (
        f'<p><img alt="{words}" style="max-width:100%" src="data:image/svg+xml;base64,{drawn}"></p>'
    )


def described(found: Comparison) -> str:
    """What the picture shows, for whoever can't see it."""
    told = []
    for name in found.names:
        scores = [
            f"{take.reviewer} {take.score:.0f}"
            for take in found.takes
            if take.contender == name and take.score is not None
        ]
        told.append(f"{name}: {', '.join(scores) or 'none'}")
    return f"Scores of 100 by reviewer. {'; '.join(told)}."


def _svg(found: Comparison, splits: list[Split]) -> str:
    biased = {bias.reviewer for bias in found.biases}
    height = TOP + ROW * len(splits) + 18
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{GREY}">'
    ]
    for row, split in enumerate(splits):
        y = TOP + ROW * row + 46
        name = escape(clean(split.contender)[:LONGEST_NAME])
        parts.append(f'<text x="{MARGIN}" y="{y - 32}">{name}</text>')
        parts.append(f'<path d="M{_x(0)} {y}H{_x(100)}" stroke="{GREY}"/>')
        parts.append(
            f'<path d="M{_x(split.mean or 0)} {y - 11}v22" stroke="{GREY}" stroke-width="3"/>'
        )
        stacked: Counter[int] = Counter()
        for take in found.takes:
            if take.contender != split.contender or take.score is None:
                continue
            step = stacked[round(take.score / 2)]  # who would hide another stands above it
            stacked[round(take.score / 2)] += 1
            hollow = take.reviewer in biased
            fill = "none" if hollow else BLUE
            parts.append(
                f'<circle cx="{_x(take.score)}" cy="{y - 9 * step}" r="{RADIUS}" fill="{fill}" '
                f'fill-opacity="0.75" stroke="{BLUE}" stroke-width="2"/>'
            )
    for mark in (0, 50, 100):
        parts.append(f'<text x="{_x(mark)}" y="{height - 4}" text-anchor="middle">{mark}</text>')
    return "".join([*parts, "</svg>"])


def _x(score: float) -> str:
    return f"{MARGIN + (WIDTH - 2 * MARGIN) * score / 100:.1f}"
