"""Numbers, dates and labels such as `IPv6` in a text, so that two texts can be held against each other. Pure.

In doubt two figures are not the same: 3.1 is not 3.10, 5 % is not 5, and 03/04/2024 is only itself.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from teams.evidence.words import ANY_STOPWORD, WORD, language, stem, word_set

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier jänner",
            "february feb februar février",
            "march mar märz mars",
            "april apr avril",
            "may mai",
            "june jun juni juin",
            "july jul juli juillet",
            "august aug août",
            "september sep sept septembre",
            "october oct oktober octobre",
            "november nov novembre",
            "december dec dezember décembre",
        ),
        start=1,
    )
    for name in names.split()
}
NUMBER_WORDS = {
    **{
        word: number
        for number, words in enumerate(
            (
                "two zwei deux",
                "three drei trois",
                "four vier quatre",
                "five fünf cinq",
                "six sechs",
                "seven sieben sept",
                "eight acht huit",
                "nine neun neuf",
                "ten zehn dix",
                "eleven elf onze",
                "twelve zwölf douze",
                "thirteen dreizehn treize",
                "fourteen vierzehn quatorze",
                "fifteen fünfzehn quinze",
                "sixteen sechzehn seize",
                "seventeen siebzehn",
                "eighteen achtzehn",
                "nineteen neunzehn",
            ),
            start=2,
        )
        for word in words.split()
    },
    **{
        word: 10 * number
        for number, words in enumerate(
            (
                "twenty zwanzig vingt",
                "thirty dreißig trente",
                "forty vierzig quarante",
                "fifty fünfzig cinquante",
                "sixty sechzig soixante",
                "seventy siebzig",
                "eighty achtzig",
                "ninety neunzig",
            ),
            start=2,
        )
        for word in words.split()
    },
}
"""`one`, `ein` and `un` are articles and pronouns more often than numbers."""

_ONES = NUMBER_WORDS | {"one": 1, "ein": 1, "eins": 1, "un": 1, "une": 1}

MULTIPLIERS = {
    **dict.fromkeys(("hundred", "hundert"), 100),
    **dict.fromkeys(("thousand", "thousands", "tausend", "mille", "k", "tsd"), 1_000),
    **dict.fromkeys(("million", "millions", "mio", "millionen", "mn"), 1_000_000),
    **dict.fromkeys(("billion", "billions", "bn", "mrd", "milliarde", "milliarden", "milliard", "milliards"), 10**9),
    **dict.fromkeys(("trillion", "trillions"), 10**12),
    **dict.fromkeys(("dozen", "dutzend", "douzaine"), 12),
}
ALONE = word_set("hundred hundert thousand tausend mille million billion trillion dozen dutzend douzaine")
"""Multipliers that are a number by themselves: a million."""

UNITS = {
    name: unit
    for unit, names in {
        "%": "% percent prozent pourcent",
        "pp": "pp percentage-point percentage-points",
        "$": "$ usd dollar dollars",
        "€": "€ eur euro euros",
        "£": "£ gbp pound pounds pfund",
        "s": "s sec secs second seconds sekunde sekunden seconde secondes",
        "ms": "ms millisecond milliseconds millisekunden millisecondes",
        "µs": "µs microsecond microseconds",
        "min": "min mins minute minutes minuten",
        "h": "h hr hrs hour hours stunde stunden heure heures",
        "d": "day days tag tage tagen jour jours",
        "wk": "week weeks woche wochen semaine semaines",
        "mo": "month months monat monate monaten mois",
        "y": "year years jahr jahre jahren ans année années",
        "m": "m metre metres meter meters mètre mètres",
        "km": "km kilometre kilometres kilometer kilometers kilomètres",
        "cm": "cm centimetre centimetres centimeter centimeters zentimeter",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "mi": "mi mile miles meilen",
        "ft": "ft foot feet",
        "in": "inch inches zoll",
        "g": "g gram grams gramm grammes",
        "kg": "kg kilogram kilograms kilogramm kilo kilos",
        "t": "t tonne tonnes ton tons tonnen",
        "l": "l litre litres liter liters",
        "°c": "°c celsius",
        "°f": "°f fahrenheit",
        "bit": "bit bits",
        "b": "b byte bytes octets",
        "kb": "kb kilobyte kilobytes",
        "mb": "mb megabyte megabytes",
        "gb": "gb gigabyte gigabytes",
        "tb": "tb terabyte terabytes",
        "kib": "kib kibibyte kibibytes",
        "mib": "mib mebibyte mebibytes",
        "gib": "gib gibibyte gibibytes",
        "hz": "hz hertz",
        "khz": "khz kilohertz",
        "mhz": "mhz megahertz",
        "ghz": "ghz gigahertz",
        "w": "w watt watts",
        "kw": "kw kilowatt kilowatts",
        "mw": "mw megawatt megawatts",
        "gw": "gw gigawatt gigawatts",
        "kwh": "kwh",
        "mwh": "mwh",
        "v": "v volt volts",
    }.items()
    for name in names.split()
}
FRACTIONS = {"½": "0.5", "¼": "0.25", "¾": "0.75", "⅓": "1/3", "⅔": "2/3", "⅛": "0.125"}

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"""(?<![\w.,/-])(?:
      (?P<y1>\d{{4}})-(?P<m1>\d{{2}})-(?P<d1>\d{{2}})(?!\d)
    | (?P<d2>\d{{1,2}})\.\ ?(?P<m2>\d{{1,2}})\.\ ?(?P<y2>\d{{4}})(?!\d)
    | (?P<a3>\d{{1,2}})/(?P<b3>\d{{1,2}})/(?P<y3>\d{{4}}|\d{{2}})(?!\d)
    | (?P<d4>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s(?:of\s)?(?P<m4>{_MONTH})\b\.?(?:,?\s(?P<y4>\d{{4}})(?!\d))?
    | (?P<m5>{_MONTH})\b\.?\s(?P<d5>\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%])(?:,?\s(?P<y5>\d{{4}})(?!\d))?
    | (?P<m6>{_MONTH})\b\.?,?\s(?P<y6>\d{{4}})(?!\d)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER = re.compile(
    r"(?P<currency>[$€£]\ ?)?(?P<sign>(?<![\w)\]])-(?=\d))?"
    r"(?<!\w)(?P<digits>\d{1,3}(?:[ '’]\d{3})+(?![\d\w])(?:[.,]\d+(?!\w))?|\d+(?:[.,:/]\d+)*)"
    r"(?P<ordinal>(?:st|nd|rd|th)\b)?"
    r"(?P<glued>[^\W\d_][\w]*(?:[-.]\w+)*)?"
    r"|(?P<fraction>[½¼¾⅓⅔⅛])"
)
_LABEL = re.compile(r"(?<![\w-])(?=[\w.-]*\d)[^\W\d_][\w]*(?:[-.][\w]+)*(?<![-.])|(?<!\w)[^\W\d_]{2,}-\d[\w-]*")
_FOLLOWS = re.compile(r"(?: {0,4}|-)(°\s?[cCfF]\b|[%$€£]|[^\W\d_]+(?:-points?)?)")
_CONNECTED = re.compile(r"\s?(?:-|–|/|,|to|and|or|bis|und|oder|à|et|ou)\s?")
_PLAIN = str.maketrans(
    {"\n": " ", "\r": " ", "\t": " ", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "−": "-", "‑": "-", "‐": "-"}
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, date or label. `values` are what it can be read as; `unit` and `noun` what stands beside it."""

    start: int
    end: int
    literal: str
    values: frozenset[str]
    unit: str = ""
    noun: str = ""
    kind: str = "number"


class Convention(NamedTuple):
    """Which mark stands before decimals in a text; empty where the text does not tell."""

    decimal: str


def convention(text: str) -> Convention:
    """By the text's language: a comma in German and French, a point in English."""
    return Convention({"en": ".", "de": ",", "fr": ","}.get(language(text) or "", ""))


def figures(text: str, written: Convention | None = None) -> list[Figure]:
    """All figures of a text in their order. `written` is the convention of the whole that `text` is a part of."""
    plain = _plain(text)
    written = written or convention(text)
    found = [*_dates(plain)]
    taken = bytearray(len(plain) + 1)
    for figure in found:
        taken[figure.start : figure.end] = b"\1" * (figure.end - figure.start)
    for figure in (*_labels(plain), *_numbers(plain, written.decimal), *_spelled(plain)):
        if not any(taken[figure.start : figure.end]):
            taken[figure.start : figure.end] = b"\1" * (figure.end - figure.start)
            found.append(figure)
    return _units_shared(plain, sorted(found, key=lambda figure: figure.start))


def same(said: Figure, there: Figure) -> bool:
    """Whether `there` bears out `said`."""
    if said.kind == "date" or there.kind == "date":
        return _date_borne_out(said, there)
    if said.unit and said.unit != there.unit and said.unit != there.noun:
        return False
    return bool(said.values & there.values)


def borne_out(said: Figure, there: Iterable[Figure]) -> bool:
    """Whether any of the figures `there` bears out `said`."""
    return any(same(said, each) for each in there)


def _plain(text: str) -> str:
    """The text with spaces, signs and digits in their plainest form, each character in its place."""
    text = text.translate(_PLAIN)
    if text.isascii():
        return text
    return "".join(str(int(char)) if char.isdecimal() and not char.isascii() else char for char in text)


def _date_borne_out(said: Figure, there: Figure) -> bool:
    if said.literal.casefold() == there.literal.casefold():
        return True
    if said.kind == "number":
        # A year by itself is in every date of that year.
        return not said.unit and any(value in date.split("-") for value in said.values for date in there.values)
    if there.kind == "number" or len(said.values) > 1 or len(there.values) > 1:
        return False
    (mine,), (theirs,) = said.values, there.values
    return all(part in ("?", other) for part, other in zip(mine.split("-"), theirs.split("-"), strict=True))


def _dates(text: str) -> Iterable[Figure]:
    for match in _DATE.finditer(text):
        part = {name[0] + name[1:]: value for name, value in match.groupdict().items() if value}
        readings = {_date(part)} if "a3" not in part else _either_way(part["a3"], part["b3"], part["y3"])
        readings.discard("")
        if readings:
            yield Figure(match.start(), match.end(), match[0], frozenset(readings), kind="date")


def _date(part: dict[str, str]) -> str:
    by = {name[0]: value for name, value in part.items()}
    month = MONTHS.get(by.get("m", "").casefold(), 0) or int(by["m"])
    day = int(by["d"]) if "d" in by else 0
    if not 1 <= month <= 12 or day > 31:
        return ""
    return f"{by.get('y', '?')}-{month}-{day or '?'}"


def _either_way(first: str, second: str, year: str) -> set[str]:
    ways = {(int(first), int(second)), (int(second), int(first))}
    return {f"{year}-{month}-{day}" for day, month in ways if 1 <= month <= 12 and 1 <= day <= 31}


def _labels(text: str) -> Iterable[Figure]:
    for match in _LABEL.finditer(text):
        yield Figure(match.start(), match.end(), match[0], frozenset({match[0].casefold()}), kind="label")


def _numbers(text: str, decimal: str) -> Iterable[Figure]:
    for match in _NUMBER.finditer(text):
        if match["fraction"]:
            yield _with_unit(text, match.start(), match.end(), {FRACTIONS[match["fraction"]]}, "")
            continue
        glued, end = match["glued"] or "", match.end()
        currency = (match["currency"] or "").strip()
        decade = glued == "s" and re.fullmatch(r"\d{3}0", match["digits"])
        if decade or (glued and not (glued.casefold() in UNITS or glued.casefold() in MULTIPLIERS)):
            yield Figure(match.start(), end, match[0], frozenset({match[0].casefold()}), kind="label")
            continue
        if glued:
            end = match.start("glued")
        values = {("-" if match["sign"] else "") + value for value in readings(match["digits"], decimal)}
        yield _with_unit(text, match.start(), end, values, currency)


def readings(digits: str, decimal: str) -> set[str]:
    """What digits with their separators can mean, as plain decimals or, for versions and times, as they stand."""
    bare = re.sub(r"[ '’](?=\d{3})", "", digits)
    points = re.findall(r"[.,:/]", bare)
    if not points:
        return {_number(bare)}
    if set(points) & {":", "/"}:
        return {bare}
    if len(set(points)) == 2:
        last = points[-1]
        grouped = bare.replace("." if last == "," else ",", "")
        return {_number(grouped.replace(last, "."))} if points.count(last) == 1 else {bare}
    mark, groups = points[0], re.split(r"[.,]", bare)
    thousands = 1 <= len(groups[0]) <= 3 and groups[0] != "0" and all(len(group) == 3 for group in groups[1:])
    if len(points) > 1:
        return {_number("".join(groups)), bare} if thousands else {bare}
    if not thousands:
        return {_number(bare.replace(mark, "."))}
    if not decimal:
        return {_number("".join(groups)), _number(bare.replace(mark, "."))}
    return {_number(bare.replace(mark, ".") if mark == decimal else "".join(groups))}


def _number(text: str) -> str:
    """A plain decimal. Zeros at its end stay, for versions, unless nothing else is behind the point."""
    whole, _, after = text.partition(".")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{after}" if after.strip("0") else whole


def _spelled(text: str) -> Iterable[Figure]:
    known = list(WORD.finditer(text))
    skip = -1
    for at, match in enumerate(known):
        word = match[0].casefold()
        if at <= skip or (match[0][0].isupper() and word in ("sept", "elf")):
            continue
        value = NUMBER_WORDS.get(word) or _german(word)
        end = match.end()
        if value is not None and value >= 20 and at + 1 < len(known):
            ones = _ONES.get(known[at + 1][0].casefold(), 99)
            if ones < 10 and text[end : known[at + 1].start()] in ("-", " "):
                value, end, skip = value + ones, known[at + 1].end(), at + 1
        if value is not None:
            figure = _with_unit(text, match.start(), end, {str(value)}, "")
        elif word in ALONE and not re.search(r"\d\s*-?$", text[: match.start()]):
            figure = _with_unit(text, match.start(), end, {str(MULTIPLIERS[word])}, "")
        else:
            continue
        skip = max(
            skip, max((i for i, other in enumerate(known[at : at + 4], at) if other.start() < figure.end), default=at)
        )
        yield figure


def _german(word: str) -> int | None:
    """Compounds such as `einundvierzig` and `zweihundert`."""
    if match := re.fullmatch(r"(\w+?)und(\w+zig|dreißig)", word):
        ones, tens = _ONES.get(match[1]), NUMBER_WORDS.get(match[2])
        return ones + tens if ones and tens and ones < 10 else None
    if match := re.fullmatch(r"(\w+?)(hundert|tausend)", word):
        ones = _ONES.get(match[1])
        return ones * MULTIPLIERS[match[2]] if ones else None
    return None


def _with_unit(text: str, start: int, end: int, values: set[str], currency: str) -> Figure:
    """The figure with the multiplier, unit and noun that follow it; the multiplier and unit are part of it."""
    literal_end, unit, noun = end, UNITS.get(currency, ""), ""
    follows = _FOLLOWS.match(text, end)
    if follows and follows[1].casefold() in MULTIPLIERS and not text.startswith("-", end):
        by = MULTIPLIERS[follows[1].casefold()]
        values = {_times(value, by) for value in values}
        literal_end = follows.end()
        if text.startswith(".", literal_end) and follows[1].casefold() in ("mio", "mrd", "tsd"):
            literal_end += 1
        follows = _FOLLOWS.match(text, literal_end)
        if follows and follows[1].casefold() in ("million", "billion", "thousand"):
            values = {_times(value, MULTIPLIERS[follows[1].casefold()]) for value in values}
            literal_end = follows.end()
            follows = _FOLLOWS.match(text, literal_end)
    if follows:
        word = follows[1].replace(" ", "").casefold()
        if text[follows.start() : follows.end() + 5].casefold().strip().startswith(("per cent", "pour cent")):
            unit, literal_end = "%", follows.end() + 5
        elif word in UNITS and (not unit or UNITS[word] == unit):
            unit, literal_end = UNITS[word], follows.end()
        elif word in ("de", "of") and (next_word := _FOLLOWS.match(text, follows.end())):
            noun = _noun(next_word[1])
        else:
            noun = _noun(word)
    return Figure(start, literal_end, text[start:literal_end], frozenset(values), unit, noun)


def _noun(word: str) -> str:
    word = word.casefold()
    return "" if word in ANY_STOPWORD or len(word) < 3 else stem(word)


def _times(value: str, by: int) -> str:
    try:
        return _number(format((Decimal(value) * by).normalize(), "f"))
    except ArithmeticError:
        return f"{value}*{by}"


def _units_shared(text: str, found: list[Figure]) -> list[Figure]:
    """In `5 to 10 percent` the five is in percent, too."""
    shared: list[Figure] = []
    for figure in reversed(found):
        if shared and figure.kind == "number" and not figure.unit and not figure.noun:
            after = shared[-1]
            if after.kind == "number" and _CONNECTED.fullmatch(text, figure.end, after.start):
                figure = Figure(
                    figure.start, figure.end, figure.literal, figure.values, after.unit, after.noun, figure.kind
                )
        shared.append(figure)
    return shared[::-1]
