"""The units of common answers, each as a factor and dimensions: 3 km is 3,000 m, and not 3 m.

A table of our own and no library: pint takes half a second to begin, drops what it does not know
("$5" is 5), and knows what can't be told for sure ("5 a" are five years). Where one name means two
things (pounds, gallons, tons, KB, a month in days), it stands for itself alone. Degrees of
temperature are not converted: a rise by 5 °C is none by 41 °F.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """How many of the base units it is, and of which: powers by name, sorted."""

    factor: Fraction
    dimensions: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        powers = (name if power == 1 else f"{name}^{power}" for name, power in self.dimensions)
        return " ".join(powers)

    def times(self, other: Unit, power: int = 1) -> Unit:
        """The product with a power of another unit."""
        powers = dict(self.dimensions)
        for name, exponent in other.dimensions:
            powers[name] = powers.get(name, 0) + exponent * power
        left = sorted((name, exponent) for name, exponent in powers.items() if exponent)
        return Unit(self.factor * other.factor**power, tuple(left))


def _unit(text: str, factor: str | int = 1) -> Unit:
    """From "kg m s-2": names with their powers."""
    parts = re.findall(r"(\D+?)(-?\d)?(?:\s|$)", text)
    return Unit(Fraction(factor), tuple(sorted((name, int(power or 1)) for name, power in parts)))


PERCENT = Unit(Fraction(1), (("%", 1),))
NONE = Unit(Fraction(1), ())
_ENERGY, _LENGTH, _TIME = "g m2 s-2", "m", "s"
_PREFIXED = {  # symbols and words that take prefixes
    "m": ("metre meter", _unit(_LENGTH), "nµcdmk"),
    "g": ("gram gramme", _unit("g"), "nµcmk"),
    "s": ("second sec", _unit(_TIME), "nµm"),
    "L": ("litre liter", _unit("m3", "1/1000"), "µcdm"),
    "l": ("", _unit("m3", "1/1000"), "µcdm"),
    "N": ("newton", _unit("g m s-2", 1000), "mkM"),
    "J": ("joule", _unit(_ENERGY, 1000), "mkMG"),
    "W": ("watt", _unit("g m2 s-3", 1000), "mkMG"),
    "Wh": ("watt-hour", _unit(_ENERGY, 3_600_000), "kMGT"),
    "V": ("volt", _unit("V"), "mk"),
    "A": ("ampere amp", _unit("A"), "µm"),
    "Ω": ("ohm", _unit("Ω"), "kM"),
    "Pa": ("pascal", _unit("g m-1 s-2", 1000), "hkM"),
    "bar": ("bar", _unit("g m-1 s-2", 100_000_000), "m"),
    "Hz": ("hertz", _unit("s-1"), "kMG"),
    "cal": ("calorie", _unit(_ENERGY, 4184), "k"),
    "eV": ("electronvolt", _unit("eV"), "kM"),
    "mol": ("mole", _unit("mol"), "µm"),
    "B": ("byte", _unit("bit", 8), "MGT"),
    "bit": ("bit", _unit("bit"), "kMG"),
}
_PREFIXES = {
    "n": ("nano", Fraction(1, 10**9)),
    "µ": ("micro", Fraction(1, 10**6)),
    "m": ("milli", Fraction(1, 1000)),
    "c": ("centi", Fraction(1, 100)),
    "d": ("deci", Fraction(1, 10)),
    "h": ("hecto", Fraction(100)),
    "k": ("kilo", Fraction(1000)),
    "M": ("mega", Fraction(10**6)),
    "G": ("giga", Fraction(10**9)),
    "T": ("tera", Fraction(10**12)),
}
_INCH, _POUND = Fraction("0.0254"), Fraction("453.59237")
# symbols as they are written, "|", words in lower case without the s of the plural
_OTHERS: tuple[tuple[str, Unit], ...] = (
    ("min|minute min", _unit("s", 60)),
    ("h hr|hour hr", _unit("s", 3600)),
    ("|day", _unit("s", 86_400)),
    ("wk|week", _unit("s", 7 * 86_400)),
    ("|month", _unit("month")),
    ("yr|year yr", _unit("month", 12)),
    ("|decade", _unit("month", 120)),
    ("|century centurie", _unit("month", 1200)),
    ("|inch inche", Unit(_INCH, (("m", 1),))),
    ("ft|foot feet", Unit(12 * _INCH, (("m", 1),))),
    ("yd|yard", Unit(36 * _INCH, (("m", 1),))),
    ("mi|mile", _unit("m", "1609.344")),
    ("|nautical_mile", _unit("m", 1852)),
    ("ha|hectare", _unit("m2", 10_000)),
    ("|acre", _unit("m2", "4046.8564224")),
    ("cc|", _unit("m3", "1/1000000")),
    ("lb lbs|", Unit(_POUND, (("g", 1),))),
    ("oz|ounce", Unit(_POUND / 16, (("g", 1),))),
    ("|fl_oz fluid_ounce", _unit("fl oz")),
    ("|pound", _unit("pound")),
    ("|ton", _unit("ton")),
    ("|tonne metric_ton", _unit("g", 1_000_000)),
    ("gal|gallon", _unit("gallon")),
    ("|pint", _unit("pint")),
    ("|quart", _unit("quart")),
    ("|cup", _unit("cup")),
    ("mph|", _unit("m s-1", "1397/3125")),
    ("kmh kph|", _unit("m s-1", "5/18")),
    ("|knot", _unit("m s-1", "463/900")),
    ("atm|atmosphere", _unit("g m-1 s-2", 101_325_000)),
    ("K|kelvin", _unit("K")),
    ("°C ℃|celsius degree_celsius degree_c", _unit("°C")),
    ("°F ℉|fahrenheit degree_fahrenheit degree_f", _unit("°F")),
    ("C|", _unit("C")),  # degrees or coulombs
    ("F|", _unit("F")),
    ("°|degree deg", _unit("°")),
    ("rad|radian", _unit("rad")),
    ("kB|kilobyte", _unit("bit", 8000)),
    ("KB|", _unit("KB")),  # of 1,000 or of 1,024 bytes
    ("KiB|kibibyte", _unit("bit", 8 * 1024)),
    ("MiB|mebibyte", _unit("bit", 8 * 1024**2)),
    ("GiB|gibibyte", _unit("bit", 8 * 1024**3)),
    ("Mb|", _unit("bit", 10**6)),
    ("Gb|", _unit("bit", 10**9)),
    ("dB|decibel", _unit("dB")),
    ("rpm|", _unit("rpm")),
    ("%|percent per_cent pct", PERCENT),
    ("‰|", Unit(Fraction(1, 10), (("%", 1),))),
    ("pp|percentage_point", _unit("pp")),
    ("$ USD US$|dollar us_dollar", _unit("USD")),
    ("¢|cent", _unit("USD", "1/100")),
    ("€ EUR|euro", _unit("EUR")),
    ("£ GBP|", _unit("GBP")),
    ("|penny pence", _unit("GBP", "1/100")),
    ("CHF|franc swiss_franc", _unit("CHF")),
    ("¥|", _unit("¥")),  # of two countries
    ("JPY|yen", _unit("JPY")),
    ("CNY RMB|yuan", _unit("CNY")),
    ("₹ INR|rupee", _unit("INR")),
)


def _tables() -> tuple[dict[str, Unit], dict[str, Unit]]:
    symbols: dict[str, Unit] = {}
    words: dict[str, Unit] = {}
    for symbol, (names, unit, prefixes) in _PREFIXED.items():
        symbols[symbol] = unit
        words |= dict.fromkeys(names.split(), unit)
        for prefix in prefixes:
            word, factor = _PREFIXES[prefix]
            larger = Unit(unit.factor * factor, unit.dimensions)
            signs = ("µ", "μ", "u") if prefix == "µ" else (prefix,)  # two code points, one look
            symbols |= {sign + symbol: larger for sign in signs}
            words |= {word + name: larger for name in names.split()}
    for names, unit in _OTHERS:
        written, _, spoken = names.partition("|")
        symbols |= dict.fromkeys(written.split(), unit)
        words |= {name.replace("_", " "): unit for name in spoken.split()}
    return symbols, words


_SYMBOLS, _WORDS = _tables()
_PRODUCTS = ("m", "s", "g", "kg", "N", "J", "W", "Wh", "V", "K", "mol", "h")  # no words of English
_TIMES_OF = r"second|minute|hour|day|week|month|year"
_WORD = r"°\s?[CF]\b|[A-Za-zµμΩ]+\$?|[°℃℉%‰$€£¥¢₹]"
_POWER = r"\^\(?([-−]?\d)\)?(?!\w|\.\d)|(?<=[a-z])([23])(?!\w|\.\d)"  # m^2, s^(-1), m2
_STEP = re.compile(r"\s*(/|\bper\s+|[·⋅*×]\s*|\s)\s*")
_RATE = re.compile(rf"\s*(?:an?|each|every)\s+({_TIMES_OF})\b", re.IGNORECASE)
_COUNTED = re.compile(r"\s*(?:[A-Za-z]+(?:\s[A-Za-z]+)?\s*)??(?:/|\bper\s+)", re.IGNORECASE)
_INCHES = re.compile(
    r"\s*in\b(?=\.?\s*(?:$|[),;:*`]|\.(?:\s|$)|(?:tall|long|wide|high|deep|by|x)\b))"
)
_SHAPED = re.compile(r"\s*(square|sq\.?|cubic|cu\.?)\s+", re.IGNORECASE)


def read_unit(text: str) -> tuple[Unit | None, int]:
    """The unit with which `text` begins and where it ends there; None and 0 where there is none.

    A rate of something that is only counted ("3 pills per day") is one: 3 a day are not 3 a week.
    """
    found = _one(text, glued=True)
    if found is None:
        if (counted := _COUNTED.match(text)) and (per := _one(text[counted.end() :])):
            return NONE.times(per[0], -1), counted.end() + per[1]
        counted_word = re.match(r"\s+[A-Za-z]+", text)
        per_time = _RATE.match(text)  # $15 an hour
        if per_time is None and counted_word is not None:
            per_time = _RATE.match(text, counted_word.end())
        if per_time is not None:
            return NONE.times(_WORDS[per_time[1].lower()], -1), per_time.end()
        return None, 0
    unit, end = found
    while step := _STEP.match(text, end):
        below = step[1].strip().lower() in ("/", "per")
        product = not step[1].strip()
        if product and unit.dimensions == (("°", 1),):
            break  # 45° N is no product of newtons
        following = _one(text[step.end() :], products=product)
        if following is not None:
            unit = unit.times(following[0], -1 if below else 1)
            end = step.end() + following[1]
        elif below and (strange := re.match(r"[A-Za-z]+", text[step.end() :])):
            unit = unit.times(Unit(Fraction(1), ((strange[0].lower(), 1),)), -1)
            end = step.end() + strange.end()
        else:
            break
    if per_time := _RATE.match(text, end):
        unit, end = unit.times(_WORDS[per_time[1].lower()], -1), per_time.end()
    return unit, end


def _one(text: str, glued: bool = False, products: bool = False) -> tuple[Unit, int] | None:
    """One unit with its power; after a number it may be glued to it by a hyphen."""
    if inches := _INCHES.match(text) if glued else None:
        return Unit(_INCH, (("m", 1),)), inches.end()
    shaped = _SHAPED.match(text)
    start = shaped.end() if shaped else 0
    found = re.compile(rf"\s*(?:-(?=[A-Za-z]))?({_WORD})" if glued else rf"({_WORD})").match(
        text, start
    )
    if found is None:
        return None
    two = re.compile(r"[ -]([A-Za-z]+)").match(text, found.end())
    unit, end = (_named(f"{found[1]} {two[1]}"), two.end()) if two else (None, 0)
    if unit is None:
        unit, end = _named(found[1]), found.end()
    if unit is None or (products and found[1] not in _PRODUCTS):
        return None
    power = re.compile(_POWER).match(text, end)
    exponent = int((power[1] or power[2]).replace("−", "-")) if power else 1
    if shaped:
        exponent *= 2 if shaped[1].lower().startswith("s") else 3
    return NONE.times(unit, exponent), power.end() if power else end


def _named(name: str) -> Unit | None:
    if (unit := _SYMBOLS.get(name.replace("° ", "°"))) is not None:
        return unit
    word = name.lower()
    if (unit := _WORDS.get(word)) is not None:
        return unit
    first, _, second = word.partition(" ")
    singular = f"{first.removesuffix('s')} {second}".strip() if second else first.removesuffix("s")
    return _WORDS.get(singular) or _WORDS.get(word.removesuffix("s"))


def symbol(sign: str) -> Unit | None:
    """The unit of a sign or code that stands before a number, as those of money do."""
    if sign.endswith("$") and sign not in _SYMBOLS:
        return _unit(sign)  # Canadian, Australian and so on
    unit = _SYMBOLS.get(sign)
    return unit if unit is not None and not unit.dimensions[0][0].islower() else None
