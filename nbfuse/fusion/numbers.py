"""The number that a text comes down to, read exactly or not at all.

A wrong reading is worse than none: members that share it would count as agreed, and no judge would
look. What can't be told for sure (a sum, a range, a root, a time of day) is no number.
"""

from __future__ import annotations

import re
from fractions import Fraction

MOST_DIGITS = 400  # beyond it a power is a mistake, or an attack on the arithmetic
CONTEXT = 30  # characters on either side that tell whether a number stands by itself

_GAP = "[,\u00a0\u202f ]"  # between thousands
_TIMES = "×⋅·∙∗*x"
# Not digits of a name (x2, GPT-4) and not exponents: after "m/s" they belong to the unit.
_NUMBER = re.compile(
    rf"(?<![\w.^])(?<![A-Za-z]-)[$€£¥]?(?P<digits>(?:\d{{1,3}}(?:{_GAP}\d{{3}})+(?!\d)|\d+)(?:\.\d+)?"
    r"|\.\d+)"
    rf"(?:\s*[{_TIMES}]\s*10\s*(?:\^|\*\*)\s*(?P<power>[-−]?\d+)|[eE](?P<exponent>[-+]?\d+)"
    r"|(?:\^|\*\*)(?P<raised>[-−]?\d+))?"
    r"(?:\s*/\s*(?P<below>\d+))?(?:\s+(?P<scale>thousand|million|billion|trillion)\b)?",
    re.IGNORECASE,
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SIGN = re.compile(  # no dash, no bullet
    r"(?:(?:\A|[\s=≈:(\[$\"'`>|])[-−]|[=≈:]\s*[-−]\s+|\b(?:minus|negative)\s+)\Z", re.IGNORECASE
)
_COMPOUND = (
    r"°|['’′]|feet|foot|ft|h|hours?|hrs?|min|minutes?|lbs?|pounds?|dollars?|years?|months?|days?"
)
_BELONGS_TO_MORE = re.compile(
    r"(?:\d[^\S\n]+|\d[,:'’_]|[{√/^]\s*|[\w.]\(\s*"  # 1 1/2; 3,5 and 12:30; √2; log(2)
    rf"|[\d)}}][^\S\n]*(?:\*\*|[-+–−—{_TIMES}])[^\S\n]*|[×⋅·÷]\s*"  # 2 * 5 and 3-5
    rf"|\d\s*(?:[A-Za-z%°]+\s+)?(?:and|or|to)\s+|\d\s*(?:{_COMPOUND})[,\s]*)\Z",  # 3 or 5; 5 ft 3
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"[.,/:]\d|\s*[×⋅·÷√π^¼-¾⅐-⅞]|\s*\\[A-Za-z]|x\w|(?:k|M|B|G|T)\b|\s*(?:bn|mn|tn)\b"
    r"|\s*(?:decimal|significant|d\.?p\b|s\.?f\b)"
)

_ASIDE = re.compile(r"(?<![A-Za-z.])\([^()]*\)|\[\^?\d[\d\s,–-]*\]")  # in brackets, or a citation
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_PLAIN = [  # LaTeX, Markdown and typography as plain characters
    (r"(?<=\d)(?=\\[dt]?frac)", " "),
    (r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2"),
    (r"\\(?:text|mathrm|mathbf|operatorname)\{([^{}]*)\}", r" \1"),
    (r"\\(?:times|cdot)(?![A-Za-z])", "×"),
    (r"\\(?:left|right)(?=[()\[\]])", ""),
    (r"\^\s*\{?\s*\\circ(?![A-Za-z])\s*\}?", "°"),
    (r"\^\s*\{\s*([-−]?\w+)\s*\}", r"^\1"),
    (r"\\[,;:! ()\[\]]|\\q?quad(?![A-Za-z])", " "),
    (r"\{,\}", ","),
    (r"\\([$%])", r"\1"),
    (r"(?<![\w*])(\*\*?|__?)(?=\S)([^*_\n]{1,200})(?<=\S)\1(?![\w*])", r"\2"),
]


def last_number(text: str) -> str | None:
    """The last number of `text` as a fraction in lowest terms, None where it can't be told.

    Asides in brackets and citations don't count. Units are not compared.
    """
    for pattern, plain in _PLAIN:
        text = re.sub(pattern, plain, text)
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"^{found[0].translate(_SUPERSCRIPTS)}", text)
    bare = _ASIDE.sub(" ", text)
    text = bare if _NUMBER.search(bare) else text
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    last = found[-1]
    before = text[max(0, last.start() - CONTEXT) : last.start()]
    after = text[last.end() : last.end() + CONTEXT]
    if _BELONGS_TO_MORE.search(before) or _GOES_ON.match(after):
        return None
    value = _value(last)
    return None if value is None else str(-value if _SIGN.search(before) else value)


def is_number(text: str) -> bool:
    """Whether `text` is a number and nothing else."""
    return _NUMBER.fullmatch(text.lstrip("-−")) is not None


def _value(number: re.Match[str]) -> Fraction | None:
    digits = re.sub(_GAP, "", number["digits"])
    power = _whole(number["power"] or number["exponent"]) + _SCALES.get(
        (number["scale"] or "").lower(), 0
    )
    raised = _whole(number["raised"] or "1")
    base, below = Fraction(digits), int(number["below"] or 1)
    if len(digits) * max(1, abs(raised)) + abs(power) > MOST_DIGITS or not below:
        return None
    if not base and raised < 0:
        return None
    return base**raised * Fraction(10) ** power / below


def _whole(digits: str | None) -> int:
    return int((digits or "0").replace("−", "-"))
