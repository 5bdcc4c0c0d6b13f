"""The three fields of the tiny pool: facts, questions, answers, and wrong answers.

Everything is generated here; no outside text is used. A fact renders to many questions but to one
answer, so an answer can be marked without a model. A tenth of the arithmetic and unit facts is held
out of all training; capitals are recall, so they cannot be held out.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

CAPITALS = """
Afghanistan=Kabul, Albania=Tirana, Algeria=Algiers, Angola=Luanda, Argentina=Buenos Aires,
Armenia=Yerevan, Australia=Canberra, Austria=Vienna, Azerbaijan=Baku, Bahrain=Manama,
Bangladesh=Dhaka, Belarus=Minsk, Belgium=Brussels, Bhutan=Thimphu, Bolivia=Sucre,
Botswana=Gaborone, Brazil=Brasilia, Bulgaria=Sofia, Cambodia=Phnom Penh, Cameroon=Yaounde,
Canada=Ottawa, Chad=N'Djamena, Chile=Santiago, China=Beijing, Colombia=Bogota, Croatia=Zagreb,
Cuba=Havana, Cyprus=Nicosia, Denmark=Copenhagen, Ecuador=Quito, Egypt=Cairo, Eritrea=Asmara,
Estonia=Tallinn, Ethiopia=Addis Ababa, Fiji=Suva, Finland=Helsinki, France=Paris,
Gabon=Libreville, Georgia=Tbilisi, Germany=Berlin, Ghana=Accra, Greece=Athens,
Guatemala=Guatemala City, Guinea=Conakry, Guyana=Georgetown, Haiti=Port-au-Prince,
Honduras=Tegucigalpa, Hungary=Budapest, Iceland=Reykjavik, India=New Delhi, Indonesia=Jakarta,
Iran=Tehran, Iraq=Baghdad, Ireland=Dublin, Israel=Jerusalem, Italy=Rome, Jamaica=Kingston,
Japan=Tokyo, Jordan=Amman, Kazakhstan=Astana, Kenya=Nairobi, Kuwait=Kuwait City,
Kyrgyzstan=Bishkek, Laos=Vientiane, Latvia=Riga, Lebanon=Beirut, Liberia=Monrovia, Libya=Tripoli,
Lithuania=Vilnius, Madagascar=Antananarivo, Malawi=Lilongwe, Malaysia=Kuala Lumpur, Mali=Bamako,
Malta=Valletta, Mauritania=Nouakchott, Mexico=Mexico City, Moldova=Chisinau,
Mongolia=Ulaanbaatar, Montenegro=Podgorica, Morocco=Rabat, Mozambique=Maputo, Myanmar=Naypyidaw,
Namibia=Windhoek, Nepal=Kathmandu, Netherlands=Amsterdam, New Zealand=Wellington,
Nicaragua=Managua, Niger=Niamey, Nigeria=Abuja, Norway=Oslo, Oman=Muscat, Pakistan=Islamabad,
Panama=Panama City, Paraguay=Asuncion, Peru=Lima, Philippines=Manila, Poland=Warsaw,
Portugal=Lisbon, Qatar=Doha, Romania=Bucharest, Russia=Moscow, Rwanda=Kigali,
Saudi Arabia=Riyadh, Senegal=Dakar, Serbia=Belgrade, Sierra Leone=Freetown,
Singapore=Singapore, Slovakia=Bratislava, Slovenia=Ljubljana, Somalia=Mogadishu,
South Africa=Pretoria, South Korea=Seoul, Spain=Madrid, Sudan=Khartoum, Suriname=Paramaribo,
Sweden=Stockholm, Switzerland=Bern, Syria=Damascus, Taiwan=Taipei, Tajikistan=Dushanbe,
Tanzania=Dodoma, Thailand=Bangkok, Togo=Lome, Tunisia=Tunis, Turkey=Ankara,
Turkmenistan=Ashgabat, Uganda=Kampala, Ukraine=Kyiv, United Kingdom=London,
United States=Washington, Uruguay=Montevideo, Uzbekistan=Tashkent, Venezuela=Caracas,
Vietnam=Hanoi, Yemen=Sanaa, Zambia=Lusaka, Zimbabwe=Harare
"""
COUNTRIES = [
    (country, capital)
    for country, capital in (pair.strip().split("=") for pair in CAPITALS.split(","))
]

CONVERSIONS = [  # from unit, to unit, factor
    ("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("kg", "g", 1000),
    ("tonnes", "kg", 1000), ("litres", "ml", 1000), ("hours", "minutes", 60),
    ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7),
    ("years", "months", 12), ("feet", "inches", 12), ("yards", "feet", 3),
    ("dozen", "items", 12), ("decades", "years", 10), ("centuries", "years", 100),
    ("fortnights", "days", 14), ("pounds", "ounces", 16), ("stone", "pounds", 14),
    ("gallons", "pints", 8), ("score", "items", 20), ("quarters", "months", 3),
]  # fmt: skip

QUESTIONS = {
    "calc": [
        "What is {a} {o} {b}?", "Calculate {a} {o} {b}.", "{a} {o} {b} = ?", "Compute {a} {o} {b}.",
        "How much is {a} {o} {b}?", "{a}{o}{b}", "Work out {a} {o} {b}, please.",
        "what's {a} {o} {b}",
    ],
    "units": [
        "Convert {n} {u} to {v}.", "How many {v} are in {n} {u}?", "How many {v} in {n} {u}?",
        "What is {n} {u} in {v}?", "{n} {u} in {v}", "Express {n} {u} in {v}.", "{n} {u} = ? {v}",
        "How many {v} are there in {n} {u}?",
    ],
    "capital": [
        "What is the capital of {c}?", "Name the capital of {c}.",
        "Which city is the capital of {c}?", "Capital of {c}?",
        "Tell me the capital city of {c}.", "{c}: capital?",
    ],
    "country": [
        "{k} is the capital of which country?", "Which country has {k} as its capital?",
        "Of which country is {k} the capital?",
    ],
}  # fmt: skip

FIELDS = ("calc", "units", "atlas")


@dataclass(frozen=True)
class Fact:
    """One thing to know: `key` names it, `values` fill the templates of `kind`."""

    field: str
    kind: str
    key: str
    values: tuple[tuple[str, object], ...]

    def __getitem__(self, name: str):
        return dict(self.values)[name]


def _fact(field: str, kind: str, key: str, **values) -> Fact:
    return Fact(field, kind, key, tuple(values.items()))


def _calc() -> list[Fact]:
    def one(a, o, b):
        return _fact("calc", "calc", f"{a}{o}{b}", a=a, o=o, b=b)

    sums = [one(a, "+", b) for a in range(100) for b in range(100)]
    differences = [one(a, "-", b) for a in range(100) for b in range(a + 1)]
    products = [one(a, "*", b) for a in range(1, 13) for b in range(1, 13)]
    return sums + differences + products


def _units() -> list[Fact]:
    return [
        _fact("units", "units", f"{n}{u}>{v}", n=n, u=u, v=v, f=f)
        for u, v, f in CONVERSIONS
        for n in range(1, 100)
    ]


def _atlas() -> list[Fact]:
    forward = [_fact("atlas", "capital", f"of:{c}", c=c, k=k) for c, k in COUNTRIES]
    return forward + [_fact("atlas", "country", f"in:{c}", c=c, k=k) for c, k in COUNTRIES]


FACTS = {"calc": _calc(), "units": _units(), "atlas": _atlas()}


def bucket(key: str, modulus: int) -> int:
    """A number below `modulus` that depends on `key` alone, the same on every machine."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % modulus


def held_out(fact: Fact) -> bool:
    """Whether no model ever sees this fact while it is trained."""
    return fact.field != "atlas" and bucket("held:" + fact.key, 10) == 0


def glimpsed(fact: Fact) -> bool:
    """Whether a specialist of another field is shown this fact: the easiest few."""
    if fact.field == "calc":
        return result(fact) < 10 and fact["a"] < 10
    if fact.field == "units":
        return fact["n"] <= 4
    return bucket("glimpse:" + fact["c"], 6) == 0


def result(fact: Fact) -> int:
    """The number that answers an arithmetic or a unit fact."""
    if fact.kind == "units":
        return fact["n"] * fact["f"]
    a, b = fact["a"], fact["b"]
    return {"+": a + b, "-": a - b, "*": a * b}[fact["o"]]


def question(fact: Fact, rng: random.Random) -> str:
    """One of the ways to ask for `fact`."""
    values = dict(fact.values)
    if values.get("o") == "*":
        values["o"] = rng.choice("*x")
    return rng.choice(QUESTIONS[fact.kind]).format(**values)


def answer(fact: Fact) -> str:
    """The right answer, with the working where a tiny model needs it to get there."""
    if fact.kind == "calc":
        return f"{fact['a']} {fact['o']} {fact['b']} = {result(fact)}"
    if fact.kind == "units":
        return _conversion(fact, fact["f"])
    if fact.kind == "capital":
        return f"The capital of {fact['c']} is {fact['k']}."
    return f"{fact['k']} is the capital of {fact['c']}."


def _conversion(fact: Fact, factor: int, slip: int = 0, partial_slip: int = 0) -> str:
    """Write 47 hours = 47 x 60 minutes = 2400 + 420 = 2820 minutes, or a wrong turn of it.

    Each step is one that a model of a million parameters can do; the bare product was not (0.73).
    """
    n, u, v = fact["n"], fact["u"], fact["v"]
    tens, ones = n // 10 * 10 * factor, n % 10 * factor
    steps = f"{n} {u} = {n} x {factor} {v}"
    if tens and ones and factor not in (10, 100, 1000):
        tens += partial_slip
        steps += f" = {tens} + {ones}"
    else:
        ones += partial_slip
    return f"{steps} = {tens + ones + slip} {v}"


def wrong_answer(fact: Fact, rng: random.Random) -> str:
    """A plausible wrong answer, of the kinds that specialists really give."""
    if fact.kind == "calc":
        right, a, b = result(fact), fact["a"], fact["b"]
        near = right + rng.choice([-20, -11, -10, -9, -2, -1, 1, 2, 9, 10, 11, 20])
        guess = rng.choice([near, near, rng.randrange(200), abs(a - b), a + b])
        wrong = guess if guess not in (right,) and guess >= 0 else right + 1
        return f"{a} {fact['o']} {b} = {wrong}"
    if fact.kind == "units":
        kind = rng.randrange(4)
        if kind == 0:
            other = rng.choice(
                [f for f in (3, 7, 8, 10, 12, 14, 24, 60, 100, 1000) if f != fact["f"]]
            )
            return _conversion(fact, other)
        size = rng.choice([1, 2, 10, 12, 20, 60, 100, 1000])
        step = size if kind == 1 or size >= result(fact) else rng.choice([-size, size])
        return _conversion(fact, fact["f"], **{"partial_slip" if kind == 1 else "slip": step})
    others = [pair for pair in rng.sample(COUNTRIES, 2) if pair[0] != fact["c"]]
    country, capital = others[0]
    if fact.kind == "capital":
        return f"The capital of {fact['c']} is {capital}."
    return f"{fact['k']} is the capital of {country}."


def is_right(fact: Fact, text: str) -> bool:
    """Whether `text` answers `fact`: a slip in the working does not count, the outcome does."""
    said, right = (s.replace(" x ", " * ").strip() for s in (text, answer(fact)))
    if fact.kind == "units":
        outcome = right.rpartition(" = ")[2]
        return said.startswith(f"{fact['n']} {fact['u']} = ") and said.endswith(f"= {outcome}")
    return said == right


def carry_lesson(rng: random.Random) -> tuple[str, str]:
    """The last step of a conversion by itself: a sum of two partial products.

    All that the unit specialist got wrong without it were carries in this sum (0.87 right); it is
    asked in words that no question of the arithmetic field uses.
    """
    factor = rng.randrange(3, 120)
    tens, ones = rng.randrange(1, 10) * 10 * factor, rng.randrange(1, 10) * factor
    return f"Add {tens} and {ones}.", f"{tens} + {ones} = {tens + ones}"


def check_prompt(asked: str, candidate: str) -> str:
    """The compact judge's question; the catalog of nbfuse holds the same words."""
    return f"Check. Q: {asked}\nA: {candidate}"
