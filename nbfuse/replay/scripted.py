"""A judge that is a function: it sees a ballot as a real one does and answers in the same form.

What it prefers is known, so that a fusion can be measured against it: a judge of known accuracy,
or one that always says "A".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from nbfuse.core.call import Call
from nbfuse.core.errors import BadRequestError, BadResponseError

Choose = Callable[[str, list[str]], int | None]  # of a question and its candidates, one; or none

GARBAGE = "I can't decide."
# as `fusion.candidates` writes them; what stands between the fences can't know their tag
_CANDIDATE = re.compile(
    r"^Candidate ([A-Z]{1,2})(?: \([^\n)]*\))?\n<<<(\w+)\n(.*?)\n\2>>>", re.MULTILINE | re.DOTALL
)


def ruling(choose: Choose, question: str, call: Call) -> str:
    """The judge's reply to a call, in the JSON of its schema; raises a `ModelError`.

    Analyses and writing are refused: no function can do that.
    """
    letters, texts = _candidates(question, call)
    if not letters or "verdict" not in _properties(call.schema):
        raise BadRequestError("A scripted judge gives verdicts, and nothing else.", "Use best-of.")
    chosen = choose(question, list(texts))
    if chosen is None:
        return GARBAGE
    if not 0 <= chosen < len(letters):
        raise BadResponseError(
            f"The scripted judge chose candidate {chosen} of {len(letters)}.",
            "It has to return an index, or None.",
        )
    filled = _Form(call.schema or {}, letters, letters[chosen]).fill(call.schema or {})
    return msgspec.json.encode(filled).decode()


def _candidates(question: str, call: Call) -> tuple[list[str], list[str]]:
    """Letters and texts of the first turn that holds candidates."""
    for message in call.messages:
        if message.role != "user":
            continue
        ballot = message.content.split(question.strip(), 1)[-1]
        if found := _CANDIDATE.findall(ballot):
            return [letter for letter, _, _ in found], [text for _, _, text in found]
    return [], []


def _properties(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The fields of what a schema describes."""
    if schema is None:
        return {}
    found: Mapping[str, Any] = _resolved(schema, schema).get("properties", {})
    return found


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        part = schema.get("$defs", {})[part["$ref"].rpartition("/")[2]]
    return part


class _Form:
    """A schema to be filled in for one preferred candidate; new fields get what says least."""

    def __init__(self, schema: Mapping[str, Any], letters: Sequence[str], best: str) -> None:
        self._schema, self._letters, self._best = schema, letters, best
        second = next((letter for letter in letters if letter != best), None)
        self._words = {
            "best": best,
            "runner_up": second,
            "margin": "clear",
            "reason": f"Candidate {best} is the one that this judge prefers.",
        }

    def fill(self, part: Mapping[str, Any], name: str = "", of: str = "") -> object:
        """A value for a part of the schema, under its name; `of` is the candidate it is about."""
        part = _resolved(self._schema, part)
        if name == "id":
            return of
        if name in self._words:
            return self._words[name]
        if ways := part.get("anyOf") or part.get("oneOf"):
            return self.fill(ways[0], name, of)
        if "enum" in part:
            return part["enum"][0]
        match part.get("type"):
            case "object":
                inside = part.get("properties", {})
                return {key: self.fill(value, key, of) for key, value in inside.items()}
            case "array" if name == "candidates":
                return [self.fill(part["items"], "", letter) for letter in self._letters]
            case "array":
                return []
            case "integer" | "number":
                low, high = part.get("minimum", 0), part.get("maximum", 4)
                return high if of == self._best else low
            case "boolean":
                return False
        return ""
