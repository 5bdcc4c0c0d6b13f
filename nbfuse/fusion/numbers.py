"""The number that a text comes down to, with its unit, read exactly or not at all.

A wrong reading is worse than none: members that share it would count as agreed, and no judge would
look. What can't be told for sure (a sum, a range, a root, a time of day, one of two numbers in a
sentence) is no number.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from nbfuse.fusion.units import Unit, read_unit, symbol

MOST_DIGITS = 400  # beyond it a power is a mistake, or an attack on the arithmetic
CONTEXT = 40  # characters on either side that tell whether a number stands by itself


class Quantity(NamedTuple):
    """A number as it is written, and its unit where it has one that is known."""

    value: Fraction
    unit: Unit | None = None

    @property
    def key(self) -> str:
        """What equal quantities share: "1/2", or in base units "3000 m"."""
        if self.unit is None:
            return str(self.value)
        return f"{self.value * self.unit.factor} {self.unit}"


_GAP = "[,'’\u00a0\u2009\u202f ]"  # between thousands
_TIMES = "×⋅·∙∗*x"
# Not digits of a name (x2, GPT-4) and not exponents: after "m/s" they belong to the unit.
_NUMBER = re.compile(
    r"(?<![\w.^])(?<![A-Za-z^][-−])(?P<sign>[$€£¥₹])?"
    r"(?:(?P<mixed>\d{1,4})[\s-](?P<top>\d{1,2})/(?P<under>\d{1,3})(?![\w./])"
    rf"|(?P<digits>(?:\d{{1,3}}(?:{_GAP}\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    rf"(?:\s*[{_TIMES}]\s*10\s*(?:\^|\*\*)\s*(?P<power>[-−]?\d+)|[eE](?P<exponent>[-+]?\d+)"
    r"|(?:\^|\*\*)(?P<raised>[-−]?\d+))?"
    r"(?:\s*/\s*(?P<below>\d+))?)"
    r"(?:\s+(?P<scale>hundred|dozen|(?:thousand|million|billion|trillion|lakh|crore)s?)\b)?",
    re.IGNORECASE,
)
_SCALES = {"hundred": 2, "thousand": 3, "lakh": 5, "million": 6, "crore": 7, "billion": 9}
_SCALES |= {"trillion": 12}
_SIGN = re.compile(  # no dash, no bullet
    r"(?:(?:\A|[\s=≈:(\[$€£¥\"'`>|])[-−]|[=≈:]\s*[-−]\s+|\b(?:minus|negative)\s+)\Z",
    re.IGNORECASE,
)
_MONTHS = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_PLACES = r"step|section|fig(?:ure)?|table|eq(?:uation)?|page|chapter|line|rule|theorem|lemma|base"
_BELONGS_TO_MORE = re.compile(
    r"(?:\d[^\S\n]+|\d[,:'’_]|\d\s+:\s*|[{√/^]\s*|[\w.]\(\s*"  # 1 2; 3,5 and 12:30; √2; log(2)
    rf"|[\w)}}\]][^\S\n]*(?:\*\*|[+*×⋅·÷±])[^\S\n]*|[×⋅·÷±]\s*"
    r"|(?<![\w'’])[a-zA-Z][^\S\n]*[-−–][^\S\n]*"  # x - 3
    rf"|[\d)}}][^\S\n]*[-−–—{_TIMES}][^\S\n]*"  # 3-5
    rf"|{_MONTHS}\s+(?:\d\d?(?:st|nd|rd|th)?,?\s+)?"
    rf"|\b(?i:{_PLACES})s?\.?[\s-]+|\b(?i:nearest)\s+"
    r"|\b(?i:not|never|except|without|than|least|most|up to|between|under|over|below|above)\s+"
    r"|\b(?i:(?:square|cube)\s+root|log|ln|half|third|quarter|loss|drop|fall|decline|reduction)"
    r"\s+(?:of\s+)?(?:about\s+)?[$€£]?|\b(?i:twice|double|triple|thrice)\s+[$€£]?"
    r"|n['’]t\s+(?:be\s+)?|[<≤≥≠]=?\s*|(?<=[\w)\]])\s*>=?\s*|!=\s*"
    r"|\d[^\d\n]{0,20}\b(?i:or|and)\s+[^\d\n=]{0,12}=\s*"  # x = 3 or x = 5
    r"|=\s*\S{1,12}[,;\s]\s*(?:and\s+)?[A-Za-z]\w?\s*=\s*"  # x = 1, y = 2
    r"|\d[\s,]*(?i:with\s+|and\s+)?(?i:an?\s+|the\s+)?\b(?i:remainder|rem\.?|r)\b[^\d\n]{0,20})\Z"
)
_GOES_ON = re.compile(
    r"[.,/:'’_]\d|\s*[×⋅·÷√π^₀-₉±∞]|\s*\\[A-Za-z]|\s?(?:k|M|B|G|T)\b|\s*(?:bn|mn|tn)\b|!"
    r"|\s*(?:decimal|significant|d\.?p\b|s\.?f\b)|\s*\+(?=\s*(?:\w|$|[.,;]))|\s*\*\s*[\w(]"
    r"|\s*[-−–]\s*(?:[A-Za-z]\b|\d)|\s?\((?=[\w\s]*[-+*/^])|\(\w|\s*(?i:a\.?m|p\.?m)\b"
    r"|\s*(?:BC|AD|BCE|CE)\b|\s+(?i:or|and)\s+(?i:more|fewer|less|above|below|over|under|so)\b"
    r"|\s+(?i:squared|cubed)\b|\s*%?\s*(?i:per\s?cent\s+)?(?i:decrease|loss|drop|decline|reduction)\b"
    rf"|(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTHS}(?![a-z])|\s*…|\.\.|\s*(?i:mod)\b"
)
_GLUED = re.compile(r"(?!(?:st|nd|rd|th)\b)[A-Za-z]|\s?/\s?[\w(]")
_AFTER_UNIT = re.compile(
    r"\s*(?:[NSEW]\b|(?i:north|south|east|west|below|before|ago)\b|[+^]|[*]\s*\w)"
)
_TELLS = re.compile(  # between two numbers of a sentence: the second is what the first comes to
    r"[=:≈→⇒∴]|\b(?:is|are|was|were|be|equals?|gives?|makes?|leaves?|yields?|totals?|means?|has|have"
    r"|gets?|remains?|becomes?|so|thus|therefore|hence|needs?|costs?|takes?)\b",
    re.IGNORECASE,
)
_SENTENCE_ENDS = re.compile(r"[.!?](?:\s|$)|\n")

_ASIDE = re.compile(r"(?<![A-Za-z0-9.)])\([^()]*\)|\[\^?\d[\d\s,–-]*\]")  # or a citation
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_PLAIN = [  # LaTeX, Markdown and typography as plain characters
    (r"(?<!\\)\$\$?(?=[^\s$])((?:[^$\n]|\\\$){1,200}?)(?<=[^\s\\$])\$\$?(?!\d)", r" \1 "),
    (r"(?<=\d)(?=\\[dt]?frac)", " "),
    (r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2"),
    (r"\\(?:text|mathrm|mathbf|operatorname)\{([^{}]*)\}", r" \1"),
    (r"\\(?:times|cdot)(?![A-Za-z])", "×"),
    (r"\\pm(?![A-Za-z])", "±"),
    (r"\\(?:left|right)(?=[()\[\]])", ""),
    (r"\^\s*\{?\s*\\circ(?![A-Za-z])\s*\}?", "°"),
    (r"\^\s*\{\s*([-−]?\w+)\s*\}", r"^\1"),
    (r"\\[,;:! ()\[\]]|\\q?quad(?![A-Za-z])|~(?=\S)", " "),
    (r"\{,\}", ","),
    (r"\\([$%])", r"\1"),
    (r"(?<![\w*])(\*\*?|__?)(?=\S)([^*_\n]{1,200})(?<=\S)\1(?![\w*])", r"\2"),
]


def last_quantity(text: str) -> Quantity | None:
    """The last number of `text` and its unit, None where it can't be told.

    Asides in brackets and citations don't count.
    """
    text = _tidy(text)
    bare = _ASIDE.sub(" ", text)
    text = bare if _NUMBER.search(bare) else text
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    first = len(found) - 1
    while first and _compound(text, found[first - 1], found[first]):
        first -= 1
    start = found[first].start()
    if _BELONGS_TO_MORE.search(text[max(0, start - CONTEXT) : start]):
        return None
    if first and not _told(text[found[first - 1].end() : start]):
        return None
    quantity, _ = _sum(text, found[first:])
    return None if quantity is None or _GOES_ON.match(text, found[-1].end()) else quantity


def bare_quantity(text: str) -> Quantity | None:
    """The quantity that `text` is, None where it holds anything else."""
    text = _tidy(text).strip(" \t\n`").removesuffix(".")
    found = list(_NUMBER.finditer(text))
    if not found or not re.fullmatch(r"\s*(?:US|[A-Z]{3}\s?)?[-−+]?\$?", text[: found[0].start()]):
        return None
    if any(not _compound(text, *pair) for pair in itertools.pairwise(found)):
        return None
    quantity, end = _sum(text, found)
    return last_quantity(text) if quantity is not None and not text[end:].strip() else None


def _tidy(text: str) -> str:
    for pattern, plain in _PLAIN:
        text = re.sub(pattern, plain, text)
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"^{found[0].translate(_SUPERSCRIPTS)}", text)
    return re.sub(r"(\d?) ?([¼-¾⅐-⅞])", _fraction, text)


def _fraction(found: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFKC", found[2]).replace("\u2044", "/")
    return f"{found[1]} {plain}" if found[1] else f" {plain}"


def _told(between: str) -> bool:
    """Whether the second of two numbers may be the answer, for what stands between them."""
    return bool(_SENTENCE_ENDS.search(between) or _TELLS.search(between))


_BOTH = (("USD", 1),), (("EUR", 1),), (("GBP", 1),), (("s", 1),), (("month", 1),)


def _compound(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Whether two numbers are one quantity, as in 1 h 30 min, 5 ft 3 in, 3 dollars and 20 cents."""
    first, end = _unit_of(text, one)
    second, _ = _unit_of(text, other)
    between = text[end : other.start()] if end < other.start() else " "
    if first is None or second is None or not re.fullmatch(r"\s*(?:,?\s*and\s+|,\s+)?", between):
        return False
    second = _cents_of(first, second)
    value, above = _value(other), _value(one)
    small = value is not None and value * second.factor < first.factor
    joined = not between.strip() or first.dimensions in _BOTH or first.factor == Fraction("0.3048")
    same = first.dimensions == second.dimensions and second.factor < first.factor
    return same and small and joined and above is not None and above.denominator == 1


def _cents_of(money: Unit, unit: Unit) -> Unit:
    """Cents are of the money before them."""
    is_cent = unit.factor == Fraction(1, 100) and unit.dimensions == (("USD", 1),)
    return Unit(unit.factor, money.dimensions) if is_cent and money.dimensions in _BOTH else unit


def _sum(text: str, parts: list[re.Match[str]]) -> tuple[Quantity | None, int]:
    """The quantity that numbers with units make together, and where it ends."""
    before = text[max(0, parts[0].start() - CONTEXT) : parts[0].start()]
    unit, end = _unit_of(text, parts[0])
    total = _value(parts[0])
    for part in parts[1:]:
        value, (smaller, end) = _value(part), _unit_of(text, part)
        if total is None or value is None or unit is None or smaller is None:
            return None, end
        total += value * _cents_of(unit, smaller).factor / unit.factor
    if total is None or (unit is not None and _AFTER_UNIT.match(text, end)):
        return None, end
    if end == parts[-1].end() and _GLUED.match(text, end):
        return None, end  # 2x, 3D, $5m, 3/x
    return Quantity(-total if _SIGN.search(before) else total, unit), end


def _unit_of(text: str, number: re.Match[str]) -> tuple[Unit | None, int]:
    """The unit of a number, before or after it, and where both end; money of its own wins."""
    before = text[max(0, number.start() - 5) : number.start()]
    code = re.search(r"(?<![A-Za-z])([A-Z]{1,3}\$|[A-Z]{3})\s?\Z", before)
    money = symbol(number["sign"] or (code[1] if code else ""))
    unit, length = read_unit(text[number.end() : number.end() + 2 * CONTEXT])
    end = number.end() + length
    if money is None:
        return unit, end
    if unit is None or unit == money:
        return money, end
    if all(power < 0 for _, power in unit.dimensions):  # $5 per hour
        return money.times(unit), end
    if set(money.dimensions) <= set(unit.dimensions):  # $5 USD, $5 dollars per hour
        return unit, end
    return money, number.end()


def _value(number: re.Match[str]) -> Fraction | None:
    scale = (number["scale"] or "").lower()
    power, times = _SCALES.get(scale.removesuffix("s"), 0), 12 if scale == "dozen" else 1
    if number["mixed"]:
        top, under = int(number["top"]), int(number["under"])
        if not 0 < top < under:
            return None
        return (int(number["mixed"]) + Fraction(top, under)) * Fraction(10) ** power * times
    digits = re.sub(_GAP, "", number["digits"])
    power += _whole(number["power"] or number["exponent"])
    raised = _whole(number["raised"] or "1")
    base, below = Fraction(digits), int(number["below"] or 1)
    if len(digits) * max(1, abs(raised)) + abs(power) > MOST_DIGITS or not below:
        return None
    if not base and raised < 0:
        return None
    value: Fraction = base**raised * Fraction(10) ** power / below * times
    return value


def _whole(digits: str | None) -> int:
    return int((digits or "0").replace("−", "-"))
