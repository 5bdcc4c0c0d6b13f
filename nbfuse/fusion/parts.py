"""Splits a question that asks several things into its parts.

Only used where the judge can't write: tiny models answer one question at a time (asked a question
of two parts whole, they got none of 72 right).
"""

from __future__ import annotations

import re

MOST_PARTS = 6

_ASKS = (
    r"(?:what|which|who|whose|where|when|why|how|name|tell|calculate|compute|convert|express|give"
    r"|find|work\s+out|capital\s+of|of\s+which|is|are|does|do|can)\b"
)
_JOINT = re.compile(
    rf"""(?:\?\s*(?:and\s+|also\s+|then\s+)*      # a question mark ends a part
          |[.!;]\s+(?:and\s+|also\s+|then\s+)*
          |\n+(?:\s*(?:[-*]|\d+[.)])\s+)?         # so does a line, numbered or not
          |,?\s+and\s+(?:also\s+|then\s+)*        # "and" does when a new request follows it
          |,\s*(?:also\s+|then\s+)*
         )(?=\d|{_ASKS})""",
    re.IGNORECASE | re.VERBOSE,
)
_REQUEST = re.compile(rf"^\s*(?:(?:please|and)\s+)*{_ASKS}|[?=]\s*$|^\s*\d", re.IGNORECASE)


def split(question: str) -> tuple[str, ...]:
    """The parts of `question`, each a question by itself; one part where it can't be split."""
    cuts, start = [], 0
    for joint in _JOINT.finditer(question):
        keeps = 1 if joint[0].startswith(("?", ".", "!")) else 0
        cuts.append(question[start : joint.start() + keeps])
        start = joint.end()
    cuts.append(question[start:])
    parts = [part.strip(" ,;\n") for part in cuts]
    if not 2 <= len(parts) <= MOST_PARTS or not all(map(_REQUEST.search, parts)):
        return (question.strip(),)
    return tuple(_closed(part) for part in parts)


def _closed(part: str) -> str:
    part = part[0].upper() + part[1:]
    if part.endswith(("?", ".", "!")):
        return part
    asks = re.match(
        r"(?:what|which|who|whose|where|when|why|how|of|is|are|does|do|can)\b", part, re.I
    )
    return f"{part}?" if asks else f"{part}."
