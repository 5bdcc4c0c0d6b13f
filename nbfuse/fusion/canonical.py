"""What an answer comes down to: the form in which equal answers are equal texts."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbfuse.core.types import AnswerKind
from nbfuse.fusion.choices import choice, listed
from nbfuse.fusion.fields import read_json, same_as
from nbfuse.fusion.numbers import Quantity, bare_quantity, last_quantity
from nbfuse.fusion.sandbox import Ran
from nbfuse.fusion.units import PERCENT

_BRACED = r"[^{}]*+(?:\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\}[^{}]*+)*+"  # two levels, as in \frac
_MARK = re.compile(rf"\\boxed\{{({_BRACED})\}}|^####[ \t]*(\S[^\n]*)\Z", re.MULTILINE)
_FENCE = re.compile(r"```([\w+-]*)[^\S\n]*\n(.*?)```", re.DOTALL)
_HASH_COMMENTS = ("python", "py", "python3", "sh", "bash", "r", "ruby")
_PYTHON = ("python", "py", "python3")

_PERCENT = r"(?:per\s?cent(?:age)?\b|%)"
_ASKS_PERCENT = re.compile(
    rf"\b(?:what|which|how\s+many|as\s+an?|in|give\s+the|the)\s+(?:the\s+)?{_PERCENT}(?!\s*\d)",
    re.IGNORECASE,
)
_NAMES_PERCENT = re.compile(_PERCENT, re.IGNORECASE)
_LEAD = re.compile(r"\banswer(?:\s+is|\s+would\s+be|\s*[:=])", re.IGNORECASE)
LONGEST_SENTENCE = 300  # characters
_SENTENCE = re.compile(r"[.!?]\s+(?=[A-Z(])|\n")
_ASIDES = ("reasoning", "reason", "why", "note", "comment",
           "explanation", "rationale", "thought", "thoughts", "steps",
           "confidence")  # fmt: skip
_NO_ANSWER = ("?", "unknown", "i don't know", "i do not know", "not known", "cannot be determined",
              "can't be determined", "not enough information")  # fmt: skip
MOST_BARE = 120  # characters of an answer that is a number or an option and nothing else


class Reading(NamedTuple):
    """`key` is what equal answers share.

    A quantity with a unit also says in `bare` the number that means the same where no unit is
    given, and a number without one says that it `fits` quantities.
    """

    key: str
    bare: str = ""
    fits: bool = False


def canonical(text: str, kind: AnswerKind, question: str = "") -> str | None:
    """What an answer comes down to, None where it holds no answer of this kind."""
    found = read(text, kind, question)
    return found.key if found is not None else None


def read(
    text: str, kind: AnswerKind, question: str = "", outputs: Mapping[str, Ran] | None = None
) -> Reading | None:
    """What an answer comes down to; `outputs` are those of code that was run, by that code."""
    match kind:
        case "number":
            number = last_quantity(_led_in(_marked(text)))
            return _of_quantity(number, question) if number else None
        case "choice":
            letter = choice(_marked(text), listed(question))
            return Reading(letter) if letter else None
        case "label":
            return _label(text, question)
        case "json":
            return _json(text)
        case "code":
            return _code(text, outputs or {})
        case "text":
            whole = "\n".join(line.rstrip() for line in text.strip().splitlines())
            return Reading(whole) if whole else None


def _led_in(text: str) -> str:
    """The sentence after the last "answer is" or "Answer:", where there is one with a figure."""
    for lead in reversed(list(_LEAD.finditer(text))):
        follows = text[lead.end() : lead.end() + LONGEST_SENTENCE].lstrip()
        sentence = _SENTENCE.split(follows, maxsplit=1)[0]
        if re.search(r"\d", sentence):
            return sentence
    return text


def sniff(texts: Sequence[str], question: str, runs_code: bool) -> AnswerKind:
    """The kind of answers that these all are beyond doubt, else "text"."""
    if not texts:
        return "text"
    if all(map(_MARK.search, texts)):
        return "label"
    if all(isinstance(value, dict) and "answer" in value for value in map(_value, texts)):
        return "json"
    if runs_code and all(python_of(text) is not None for text in texts):
        return "code"
    if any(len(text.strip()) > MOST_BARE for text in texts):
        return "text"
    if options := listed(question):
        chosen = [choice(text, options) for text in texts]
        if all(
            one and _is_bare(text, one, options) for text, one in zip(texts, chosen, strict=True)
        ):
            return "choice"
    if all(bare_quantity(text) for text in texts):
        return "number"
    return "text"


def python_of(text: str) -> str | None:
    """The Python code of an answer that has exactly one block of it, and no other block."""
    blocks = _FENCE.findall(text)
    if len(blocks) != 1 or blocks[0][0].lower() not in _PYTHON or text.count("```") != 2:
        return None
    return str(blocks[0][1]) if blocks[0][1].strip() else None


def object_of(text: str) -> object:
    """The JSON value of an answer, the last fenced one where some are fenced; None for none.

    What only says how it was come by does not count; an `answer` with nothing beside it is all.
    """
    value = _value(text)
    if not isinstance(value, dict) or "answer" not in value:
        return value
    kept = {name: one for name, one in value.items() if name.casefold() not in _ASIDES}
    return kept["answer"] if list(kept) == ["answer"] else kept


def _of_quantity(number: Quantity, question: str) -> Reading:
    if number.unit is None:
        return Reading(number.key, fits=True)
    bare = str(number.value)
    if number.unit == PERCENT and not _ASKS_PERCENT.search(question):
        # 0.45 is 45 % where percent is not what was asked for; where it is only spoken of, who
        # knows
        bare = "" if _NAMES_PERCENT.search(question) else str(number.value / 100)
    return Reading(number.key, bare)


def _is_bare(text: str, letter: str, options: Mapping[str, str]) -> bool:
    """Whether an answer is an option and nothing else."""
    words = re.sub(r"[^\w]+", " ", text.casefold()).split()
    option = re.sub(r"[^\w]+", " ", options[letter].casefold()).split()
    return words in ([letter.lower()], option, [letter.lower(), *option])


def _marks(text: str) -> list[str]:
    return [next(filter(None, groups), "") for groups in _MARK.findall(text.rstrip())]


def _marked(text: str) -> str:
    """What is marked as the answer, else all; nothing where several answers are marked."""
    marks = set(_marks(text)) or {text}
    return marks.pop() if len(marks) == 1 else ""


def _label(text: str, question: str) -> Reading | None:
    line = (_marked(text).strip().splitlines() or [""])[-1]
    label = " ".join(line.strip(" \t*_`").rstrip(".").split())
    if len(label) > 1 and label[0] == label[-1] and label[0] in "\"'":
        label = label[1:-1].rstrip(".")
    if len(label) <= MOST_BARE and (number := bare_quantity(label)) is not None:
        return _of_quantity(number, question)
    if _is_none(label, question):
        return None
    # a formula's letters are not those of a sentence: x and X are two
    label = label if _marks(text) else label.casefold()
    return Reading(label) if label else None


def _is_none(label: str, question: str) -> bool:
    """Whether it only says that there is no answer, which no vote may be counted for.

    Where the question itself has the words, they may be one of its labels.
    """
    said = re.sub(r"\\text\{([^{}]*)\}", r"\1", label).strip(" .").casefold()
    return said in _NO_ANSWER and said not in question.casefold()


def _value(text: str) -> object:
    blocks = _FENCE.findall(text)
    try:
        return read_json(blocks[-1][1] if blocks else text)
    except ValueError:
        return None


def _json(text: str) -> Reading | None:
    value = object_of(text)
    if value is None or (isinstance(value, str) and (not value.strip() or _is_none(value, ""))):
        return None
    return Reading(same_as(value))


def _code(text: str, outputs: Mapping[str, Ran]) -> Reading | None:
    """What the code printed where it was run and printed something, else the code itself.

    Python as its syntax tree reads, so that comments and spaces don't count, and text does; else
    all fenced blocks, without blank lines and, where `#` begins one, comments.
    """
    if (python := python_of(text)) is not None and (ran := outputs.get(python)) is not None:
        if ran.failure:
            return None
        if printed := "\n".join(line.rstrip() for line in ran.output.strip().splitlines()):
            return Reading(f"prints {printed}")
    if python is not None:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            tree = ast.unparse(ast.parse(python))
            return Reading(tree) if tree else None
    code = []
    for language, block in _FENCE.findall(text) or [("", text)]:
        lines = [line.rstrip() for line in block.strip("\n").splitlines()]
        if language.lower() in _HASH_COMMENTS:
            lines = [line for line in lines if not line.lstrip().startswith("#")]
        code += [line for line in lines if line]
    return Reading("\n".join(code)) if code else None
