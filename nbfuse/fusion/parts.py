"""Splits a question that asks several things into its parts.

Only used where the judge can't write: tiny models answer one question at a time (asked a question
of two parts whole, they got none of 72 right).
"""

from __future__ import annotations

import re

MOST_PARTS = 6

_QUESTION_WORDS = r"what|which|who|whose|where|when|why|how|of\s+which|is|are|does|do|can"
_ORDERS = r"name|tell|calculate|compute|convert|express|give|find|work\s+out|capital\s+of"
# How a request begins: with such a word, a sum, an amount to convert, a name that is asked about.
_BEGINS = (
    rf"(?:(?:please\s+)?(?:{_QUESTION_WORDS}|{_ORDERS})\b"
    r"|\d+\s*[-+*x×/]\s*\d|\d+\s+[a-z]+\s*(?:=|\s(?:in|to)\s)"
    r"|(?-i:[A-Z])[\w'’ -]*(?::\s*\w+(?:\?|$|\s+and\b)|\sis\b[^?\n]*\b(?:which|what)\b))"
)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)
_JOINT = re.compile(
    rf"(?:(?P<end>[?.!;])\s+|\s*\n\s*|,?\s+(?=and\b)|,\s*)(?:(?:and|also|then)\s+)*(?={_BEGINS})",
    re.IGNORECASE,
)
_REQUEST = re.compile(_BEGINS, re.IGNORECASE)
_QUESTION = re.compile(rf"(?:{_QUESTION_WORDS})\b", re.IGNORECASE)


def split(question: str) -> tuple[str, ...]:
    """The parts of `question`, each a question by itself; one part where it can't be split."""
    text = _BULLET.sub("", question.strip())
    parts, start = [], 0
    for joint in _JOINT.finditer(text):
        parts.append(text[start : joint.start()] + (joint["end"] or ""))
        start = joint.end()
    parts.append(text[start:])
    if not 2 <= len(parts) <= MOST_PARTS or not all(map(_REQUEST.match, parts)):
        return (question.strip(),)
    return tuple(map(_closed, parts))


def _closed(part: str) -> str:
    part = part.strip(" ,;\n")
    if not part.endswith(("?", ".", "!")):
        part += "?" if _QUESTION.match(part) else "."
    return part[0].upper() + part[1:]
