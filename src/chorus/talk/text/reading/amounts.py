"""How much of what: money, shares, units, sums, and from where to where."""

from __future__ import annotations

import re

from chorus.talk.text.reading.words import NUMBER, Amount, Rule, Words, any_of

_SIGNS = {
    "US$": "USD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB",
    "₩": "KRW", "₺": "TRY", "₪": "ILS", "₴": "UAH", "฿": "THB", "₫": "VND", "zł": "PLN",
    "元": "CNY",
}  # fmt: skip
# Codes that are no words of any language.
_CODES = (
    "USD|EUR|GBP|JPY|CHF|CNY|INR|AED|SAR|EGP|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|SGD|"
    "HKD|KRW|ILS|THB|UAH|RON|BGN"
)
_UNITS = {
    "km": "length-kilometer", "m": "length-meter", "cm": "length-centimeter",
    "mm": "length-millimeter", "ft": "length-foot", "km/h": "speed-kilometer-per-hour",
    "mph": "speed-mile-per-hour", "m²": "area-square-meter", "m2": "area-square-meter",
    "kg": "mass-kilogram", "g": "mass-gram", "mg": "mass-milligram", "lb": "mass-pound",
    "lbs": "mass-pound", "oz": "mass-ounce", "l": "volume-liter", "L": "volume-liter",
    "ml": "volume-milliliter", "mL": "volume-milliliter", "kWh": "energy-kilowatt-hour",
    "GB": "digital-gigabyte", "MB": "digital-megabyte", "°C": "temperature-celsius",
    "℃": "temperature-celsius", "°F": "temperature-fahrenheit", "°": "angle-degree",
    "min": "duration-minute", "h": "duration-hour",
}  # fmt: skip
_EDGE = r"(?<![\w.,:/-])"
_SIGNED = rf"(?:{_EDGE}[-−](?=\d)|{_EDGE})"
_MINUS = r"(?:(?<!\w)[-−](?=[\d$€£]))?"
_RANGE = re.compile(rf"(?<![\w.,:/*+=-])({NUMBER})\s?([-–])\s?(?={NUMBER}(?![\w]*[-–/]\d))")
_WORD_BEFORE = re.compile(r"[^\W\d]{2}$")
_OPERATORS = {
    "*": "times", "×": "times", "·": "times", "+": "plus", "=": "equals", "÷": "divided",
    "−": "minus", "-": "minus", "<": "less", ">": "greater", "≈": "about", "±": "plus_minus",
}  # fmt: skip


def rules(words: Words) -> list[Rule]:
    """Money before units, both before the sums and ranges that may hold them."""
    return [*_money(words), *_shares(words), *_units(words), *_sums(words), *_plain(words)]


def _minus(words: Words, text: str) -> str:
    sign = words.word("minus")
    return f"{sign} " if sign and text[:1] in "-−" else ""


def _money(words: Words) -> list[Rule]:
    signs = any_of(_SIGNS)
    scales = any_of(words.some("scales")) or "(?!)"
    scaled = words.word("scaled")
    written = re.compile(
        rf"(?:{_MINUS}(?<!\w)(?P<before>{signs}|(?:{_CODES})(?=[\s\d]))\s?(?P<first>{NUMBER})"
        rf"(?:\s?[-–]\s?(?:{signs})?(?P<until>{NUMBER}))?"
        rf"|{_SIGNED}(?P<second>{NUMBER})(?:\s?(?P<early>{scales}))?\s?(?P<after>{signs}|(?:{_CODES})\b))"
        rf"(?:\s?(?P<scale>{scales})(?!\w))?(?![\w]|[.,]\d)"
    )
    pattern = words.word("money")
    to = words.word("to")

    def say(match: re.Match[str], _: str) -> str | None:
        sign = match["before"] or match["after"]
        code = _SIGNS.get(sign, sign)
        if sign == "¥" and words.locale.language == "zh":
            code = "CNY"
        amount = words.number(match["first"] or match["second"])
        if amount is None:
            return None
        name = words.currency(code, amount)
        minus = _minus(words, match.group())
        if match["until"]:
            until = words.number(match["until"])
            if until is None or to is None:
                return None
            name = words.currency(code, until)
            return f"{words.figures(amount)} {to} {words.figures(until)} {name}"
        if scale := match["scale"] or match["early"]:
            if scaled is None:
                return None
            return minus + scaled.format(
                number=words.figures(amount),
                scale=scale,
                currency=words.currency(code, Amount("5")),
            )
        if len(amount.part) != 2 or pattern is None:
            return f"{minus}{words.figures(amount)} {name}"
        name = words.currency(code, Amount(amount.whole))
        if not int(amount.part):
            return f"{minus}{amount.whole} {name}"
        part = Amount(str(int(amount.part)))
        unit = words.counted("parts", code, part)
        small = f"{part.whole} {unit}" if unit else part.whole
        if not int(amount.whole) and unit:
            return minus + small
        return minus + pattern.format(whole=amount.whole, currency=name, part=small)

    return [(written, say)]


def _shares(words: Words) -> list[Rule]:
    percent = words.word("percent")
    if percent is None:
        return []
    written = re.compile(rf"{_SIGNED}({NUMBER})\s?[%٪](?!\w)")

    def say(match: re.Match[str], _: str) -> str | None:
        amount = words.number(match.group(1))
        if amount is None:
            return None
        return _minus(words, match.group()) + percent.format(n=words.figures(amount))

    return [(written, say)]


def _units(words: Words) -> list[Rule]:
    written = re.compile(rf"{_SIGNED}({NUMBER})[ \u00a0\u202f]?({any_of(_UNITS)})(?![\w²/'’])")

    def say(match: re.Match[str], _: str) -> str | None:
        amount = words.number(match.group(1))
        said = None if amount is None else words.unit(_UNITS[match.group(2)], amount)
        return None if said is None else _minus(words, match.group()) + said

    return [(written, say)]


def _sums(words: Words) -> list[Rule]:
    """Operators between numbers, and between single letters where one is sure."""
    said = {sign: word for sign, name in _OPERATORS.items() if (word := words.word(name))}
    found: list[Rule] = []
    sure = any_of([sign for sign in said if sign in "*×·+=÷<>≈±−"])
    if sure:
        # Not consumed: the number before and after may have another sign at its other side.
        written = re.compile(
            rf"(?<=[\d)%])\s?(?:{sure})\s?(?=[-−]?[\d(])|(?<=[\w²])\s(?:{sure})\s(?=\w)"
        )

        def sum(match: re.Match[str], clause: str) -> str | None:
            sign = match.group().strip()
            if sign == "*" and _WORD_BEFORE.search(clause[: match.start()]):
                return None  # a key among words
            return f" {said[sign]} "

        found.append((written, sum))
    if divided := words.word("divided"):
        found.append((re.compile(r"(?<=\d)\s/\s(?=\d)"), lambda _, __: f" {divided} "))
    if "-" in said:
        spaced = re.compile(r"(?<=\d)\s[-−]\s(?=\d+\s?=)")
        found.append((spaced, lambda _, __: f" {said['-']} "))
    return found


def _plain(words: Words) -> list[Rule]:
    """Ranges; numbers below zero; squares; decimals, where a plain voice cannot read them."""
    found: list[Rule] = []
    if to := words.word("to"):
        found.append((_RANGE, lambda match, _: f"{match.group(1)} {to} "))
    if minus := words.word("minus"):
        found.append((re.compile(r"(?<![\w.,:/)-])[-−](?=\d)"), lambda _, __: f"{minus} "))
    if squared := words.word("squared"):
        found.append((re.compile(r"(?<=\w)²"), lambda _, __: f" {squared}"))
    if half := words.word("and_half"):
        mixed = re.compile(rf"{_EDGE}(\d+)\s?½")
        found.append((mixed, lambda match, _: half.format(n=match.group(1))))
    if words.word("decimal"):
        decimal = re.compile(r"(?<![\w.,:/-])\d+[.,٫]\d+(?![\w.,:/-])")

        def say(match: re.Match[str], _: str) -> str | None:
            amount = words.number(match.group())
            return None if amount is None or not amount.part else words.figures(amount)

        found.append((decimal, say))
    return found
