"""Which of the listed options an answer means, by its letter or by its text."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping

_WHY = r"(?:because|since|as|due)\b"
_OTHERS = r"(?!\s*(?:,|/|&|and\b|or\b)\s*\(?[A-Z]\b)"  # A, B and C are no choice
_SAYING = r"\b(?:answer|option|choice|choose|pick|select|it)\b"
_SAID = re.compile(
    rf"(?<!not )(?<!n't )(?i:{_SAYING})"
    r"(?:\s*:|\s+is|'s|\s+would\s+be)?[\s(*\"'\[`]{1,4}"  # the answer is B, it is B
    rf"([A-H])\b(?!['’-]\w){_OTHERS}(?![ \t]+(?!{_WHY})[a-z])"  # not "A dog", "option B is wrong"
)
_GIVEN = re.compile(
    rf"^[^\w\n]*([A-Ha-h])(?:[^\w\n]*$|[).:]|,?[ \t]+{_WHY})"  # B, or B. Because …
    r"|(?<!not )(?<!Not )\(([A-H])\)[^\w\n]*$",  # … (B)
    re.MULTILINE,
)
_MARKER = re.compile(r"(?:^|(?<=\s)|(?<=[,;:]))[*_-]{0,2}\s?\(?([A-Z])[).:][*_]{0,2}[ \t]+", re.M)
_LEAD = re.compile(
    r"^.{0,40}?\b(?:answer|option|choice|choose|pick|select)\b(?:\s+is|\s+would\s+be)?\s*:?\s*",
    re.IGNORECASE | re.DOTALL,
)
_REST = re.compile(rf"^(?:\s*$|[.,;]?\s+{_WHY}|\.\s)", re.IGNORECASE)
MOST_TEXT = 200  # characters of an option that an answer would repeat


def listed(question: str) -> dict[str, str]:
    """The options of a question by their letters; empty where it lists none, or several times.

    They stand one a line or in one line, as A) B) C), (A) (B) or A. B., from A on without a gap.
    """
    marks = list(_MARKER.finditer(question))
    starts = [i for i, mark in enumerate(marks) if mark[1] == "A"]
    if len(starts) != 1:
        return {}
    options: dict[str, str] = {}
    for letter, mark, after in zip(
        string.ascii_uppercase, marks[starts[0] :], [*marks[starts[0] + 1 :], None], strict=False
    ):
        if mark[1] != letter:
            break
        end = after.start() if after else len(question)
        text = question[mark.end() : end].split("\n")[0].strip(" \t,;*_")
        if not text:
            return {}
        options[letter] = text
    return options if len(options) > 1 else {}


def choice(text: str, options: Mapping[str, str]) -> str | None:
    """The letter that `text` chooses; None where it names none, several or one that isn't there."""
    letter, named = _by_letter(text), _by_text(text, options)
    if letter is None:
        return named
    if options and letter not in options:
        return None
    if named is not None and named != letter:  # "B" may be the text of another option
        return None
    other = _text_beside(text, letter, options)
    return None if other is not None and other != letter else letter


def _by_letter(text: str) -> str | None:
    said = [letter.upper() for letter in _SAID.findall(text)]
    given = {(line or end).upper() for line, end in _GIVEN.findall(text)}
    if not said and len(given) == 1:  # with several it is a list of what can be chosen
        said = list(given)
    return said[-1] if said else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .?*_`\"'“”‘’()[]")


def _letters(options: Mapping[str, str]) -> dict[str, str]:
    """Letters by the texts of their options, but for texts that two options share."""
    texts = {letter: _plain(text) for letter, text in options.items() if len(text) <= MOST_TEXT}
    counts = Counter(texts.values())
    return {text: letter for letter, text in texts.items() if counts[text] == 1 and text}


def _by_text(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text the answer is, or says after "the answer is"."""
    letters = _letters(options)
    if not letters or len(text) > 20 * MOST_TEXT:
        return None
    for part in (text, text.strip().splitlines()[-1] if text.strip() else ""):
        if (letter := letters.get(_plain(part))) is not None:
            return letter
        said = _LEAD.sub("", part.strip(), count=1)
        if said == part.strip():
            continue
        said = said.lstrip(" *_`\"'“‘(")
        found = {
            letter
            for option, letter in letters.items()
            if _plain(said) == option
            or (
                said.casefold().startswith(option)
                and _REST.match(said[len(option) :].lstrip("*_`\"'”’)"))
            )
        }
        if len(found) == 1:
            return found.pop()
    return None


def _text_beside(text: str, letter: str, options: Mapping[str, str]) -> str | None:
    """The option whose text stands behind the letter, as in "B) Paris"."""
    found = re.findall(rf"(?<!\w){letter}[).:]\s+([^\n]{{1,{MOST_TEXT}}})", text)
    letters = _letters(options)
    return next((letters[_plain(one)] for one in found if _plain(one) in letters), None)
