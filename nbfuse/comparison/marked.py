"""Answers side by side, with the words marked that the first one does not have."""

from __future__ import annotations

import difflib
import re

from nbfuse.core.clean import clean
from nbfuse.render.model import say

MOST_WORDS = 1500  # of an answer that are compared: longer ones take seconds


def marked(text: str, against: str | None) -> str:
    """A text as HTML, in which the words that `against` lacks are marked (None: nothing is)."""
    words = re.findall(r"\s+|\S+", clean(text))
    if against is None:
        return say("".join(words))
    other = re.findall(r"\S+", clean(against))
    mine = [word for word in words if not word.isspace()]
    if max(len(mine), len(other)) > MOST_WORDS:
        return say("".join(words))
    matcher = difflib.SequenceMatcher(None, other, mine, autojunk=False)
    new = {
        place
        for tag, _, _, start, end in matcher.get_opcodes()
        if tag in ("replace", "insert")
        for place in range(start, end)
    }
    parts, place, inside = [], 0, False
    for word in words:
        if word.isspace():
            parts.append(word if not inside or place in new else f"</mark>{word}")
            inside = inside and place in new
            continue
        if (place in new) is not inside:
            parts.append("<mark>" if place in new else "</mark>")
            inside = place in new
        parts.append(say(word))
        place += 1
    return "".join([*parts, "</mark>" if inside else ""])
