"""Answers that can be compared: what each one comes down to, and who agrees with whom.

Where a plurality agrees no judge is paid (self-consistency over different models: Wang et al.
2022, arXiv:2203.11171; the anchored tie-break and the thresholds are measured in the design notes).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from nbfuse.core.types import Answer, AnswerKind
from nbfuse.fusion.numbers import is_number, last_number

_BRACED = r"[^{}]*+(?:\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\}[^{}]*+)*+"  # two levels, as in \frac
_MARK = re.compile(rf"\\boxed\{{({_BRACED})\}}|^####[ \t]*(\S[^\n]*)\Z", re.MULTILINE)
_FENCE = re.compile(r"```([\w+-]*)\n(.*?)```", re.DOTALL)
_HASH_COMMENTS = ("python", "py", "sh", "bash", "r", "ruby")

_WHY = r"(?:because|since|as|due)\b"
_OTHERS = r"(?!\s*(?:,|/|&|and\b|or\b)\s*\(?[A-H]\b)"  # A, B and C are no choice
_SAID = re.compile(
    r"(?<!not )(?<!n't )(?i:\b(?:answer|option|choice|choose|pick|select|it)\b)"
    r"(?:\s*:|\s+is|'s|\s+would\s+be)?[\s(*\"'\[]{1,4}"  # the answer is B, it is B
    rf"([A-H])\b{_OTHERS}(?![ \t]+(?!{_WHY})[a-z])"  # neither "A dog" nor "option B is wrong"
)
_GIVEN = re.compile(
    rf"^[^\w\n]*([A-Ha-h])(?:[^\w\n]*$|[).:]|,?[ \t]+{_WHY})"  # B, or B. Because …
    r"|(?<!not )(?<!Not )\(([A-H])\)[^\w\n]*$",  # … (B)
    re.MULTILINE,
)


class Agreement(NamedTuple):
    """Groups of members that agree, the largest first (ties: the one with the anchor)."""

    kind: AnswerKind
    groups: tuple[tuple[str, ...], ...]

    @property
    def unanimous(self) -> bool:
        """Whether everybody says the same."""
        return len(self.groups) == 1


def compare(answers: Sequence[Answer], kind: AnswerKind | None, anchor: str) -> Agreement | None:
    """Who agrees with whom; None where the answers can't be compared.

    Without a `kind` only marked answers are compared (boxed, `####`, a JSON `answer`), and texts
    that are the same to the letter. Unfinished answers have no vote.
    """
    voters = [
        answer for answer in answers if answer.failure is None and answer.status == "complete"
    ]
    kind = kind or _sniff([answer.text for answer in voters])
    found = {answer.member: canonical(answer.text, kind) for answer in voters}
    counts = Counter(value for value in found.values() if value is not None)
    if not counts:
        return None
    groups = [tuple(m for m, value in found.items() if value == one) for one in counts]
    groups.sort(key=lambda group: (-len(group), anchor not in group))
    if sum(map(len, groups)) < len(answers):  # somebody said nothing comparable: not unanimous
        groups += [(answer.member,) for answer in answers if found.get(answer.member) is None]
    return Agreement(kind, tuple(groups))


def _sniff(texts: Sequence[str]) -> AnswerKind:
    if texts and all(map(_MARK.search, texts)):
        return "label"
    parsed = [_json(text) for text in texts]
    if parsed and all(isinstance(value, dict) and "answer" in value for value in parsed):
        return "json"
    return "text"


def canonical(text: str, kind: AnswerKind) -> str | None:
    """What an answer comes down to, None where it holds no answer of this kind."""
    match kind:
        case "number":
            return last_number(_marked(text))
        case "choice":
            return _choice(_marked(text))
        case "label":
            return _label(text)
        case "json":
            value = _json(text)
            if isinstance(value, dict) and "answer" in value:
                value = value["answer"]
            return None if value is None else json.dumps(value, sort_keys=True)
        case "code":
            return _code(text)
        case "text":
            return "\n".join(line.rstrip() for line in text.strip().splitlines()) or None


def _marks(text: str) -> list[str]:
    return [next(filter(None, groups), "") for groups in _MARK.findall(text.rstrip())]


def _marked(text: str) -> str:
    """What is marked as the answer, else all; nothing where several answers are marked."""
    marks = set(_marks(text)) or {text}
    return marks.pop() if len(marks) == 1 else ""


def _choice(text: str) -> str | None:
    said = [letter.upper() for letter in _SAID.findall(text)]
    given = {(line or end).upper() for line, end in _GIVEN.findall(text)}
    if not said and len(given) == 1:  # with several it is a list of what can be chosen
        said = list(given)
    return said[-1] if said else None


def _label(text: str) -> str | None:
    line = (_marked(text).strip().splitlines() or [""])[-1]
    label = " ".join(line.strip(" \t*_`").rstrip(".").split())
    if len(label) > 1 and label[0] == label[-1] and label[0] in "\"'":
        label = label[1:-1].rstrip(".")
    bare = label.strip("$")
    if is_number(bare) and (number := last_number(bare)) is not None:
        return number
    # a formula's letters are not those of a sentence: x and X are two
    return (label if _marks(text) else label.casefold()) or None


def _json(text: str) -> object:
    blocks = _FENCE.findall(text)
    try:
        return json.loads(blocks[-1][1] if blocks else text, parse_float=_whole_if_it_is)
    except (ValueError, RecursionError):
        return None


def _whole_if_it_is(digits: str) -> float:
    value = float(digits)
    return int(value) if value.is_integer() else value


def _code(text: str) -> str | None:
    """All fenced blocks without blank lines and, where `#` begins one, comments."""
    code = []
    for language, block in _FENCE.findall(text) or [("", text)]:
        lines = [line.rstrip() for line in block.strip("\n").splitlines()]
        if language.lower() in _HASH_COMMENTS:
            lines = [line for line in lines if not line.lstrip().startswith("#")]
        code += [line for line in lines if line]
    return "\n".join(code) or None


def medoid(answers: Sequence[Answer]) -> Answer | None:
    """The answer most like the others by shared words; None below three, where none is.

    Minimum Bayes risk with token overlap, for when no judge can be had. Length brings nothing.
    """
    if len(answers) < 3:
        return None
    words = [Counter(re.findall(r"\w+", answer.text.casefold())) for answer in answers]

    def likeness(i: int) -> float:
        return sum(_overlap(words[i], words[j]) for j in range(len(words)) if j != i)

    scores = [likeness(i) for i in range(len(answers))]
    best = max(scores)
    return answers[scores.index(best)] if scores.count(best) == 1 and best > 0 else None


def _overlap(one: Counter[str], other: Counter[str]) -> float:
    shared = sum((one & other).values())
    return 2 * shared / max(1, sum(one.values()) + sum(other.values()))
