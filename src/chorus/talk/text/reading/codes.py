"""What is read character by character or by its marks: addresses, telephone numbers, codes, keys;
and abbreviations."""

from __future__ import annotations

import re

from phonenumbers import NumberParseException, is_possible_number, is_valid_number, parse

from chorus.talk.text.reading.words import Rule, Say, Words, any_of, spelt
from chorus.talk.text.units import is_unspaced

# Domains that are written without https:// in front. Any two letters are a country's.
_TOP = "[a-z]{2}|com|org|net|info|app|dev|shop|store|online|cloud|example|test|edu|gov|health"
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"“”]*[\w/]"
    rf"|(?<![\w.@/-])(?:[\w-]{{2,}}\.)+(?:{_TOP})\b(?![.@-]\w)(?:/[\w./~-]*[\w/])?"
)
_LEAST_DIGITS = 6  # of a telephone number
_PHONE = re.compile(
    r"(?<![\w.,:/$€£₹+-])(?:\+|\(?\d)[\d(][\d()./ \u00a0\u2011-]{3,22}\d"
    r"(?![\w%€$£₹]|[.,:]\d|\s?[€$£₹%])"
)
_LOCAL = re.compile(r"(?<![\w.,:/-])\d{3}[-.]\d{4}(?![\w-]|[.,:]\d)")
_CODE = re.compile(
    r"(?<![\w.,:/@-])(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*(?![\w@-])"
)
_FIGURES = re.compile(r"(?<![\w.,:/-])\d{2,}(?![\w%°/-]|[.,:]\d)")
_KEY = re.compile(r"(?<![\w*#])([*#])(\d+)?([*#])?(?![\w*#])")
_WORDS_BEFORE = 4  # between the word for a code and the code
_WORDS_BEFORE_YEAR = 2  # the same for what may be a year
_YEAR = re.compile(r"(?:19|20)\d\d")


def addresses(words: Words) -> list[Rule]:
    """E-mail addresses, then those of the web."""
    names = {".": "dot", "@": "at", "/": "slash", "-": "dash", "_": "underscore", "+": "plus"}
    said = {mark: word for mark, name in names.items() if (word := words.word(name))}
    if "." not in said or "@" not in said:
        return []

    def read(text: str) -> str:
        parts = (f" {said.get(char, ' ')} " if not char.isalnum() else char for char in text)
        return " ".join("".join(parts).split())

    def web(match: re.Match[str], _: str) -> str:
        # The scheme is nobody's concern, and a query can be neither heard nor typed.
        text = re.sub(r"^https?://", "", match.group()).partition("?")[0].partition("#")[0]
        return read(text.rstrip("/").removeprefix("www."))

    return [(_MAIL, lambda match, _: read(match.group())), (_URL, web)]


def telephone(words: Words) -> list[Rule]:
    """Figure by figure, with a short pause where they are grouped."""
    plus = words.word("plus")

    def dialled(text: str) -> bool:
        try:
            number = parse(text, words.region or None)
        except NumberParseException:
            return False
        # A national number without a mark is only told from an amount by being one that exists.
        return is_possible_number(number) and (
            text.startswith(("+", "0", "(")) or is_valid_number(number)
        )

    def grouped(text: str) -> str:
        groups = [spelt(group) for group in re.findall(r"\d+", text)]
        sign = f"{plus} " if plus and text.startswith("+") else ""
        return sign + ", ".join(groups)

    def phone(match: re.Match[str], _: str) -> str | None:
        text = match.group()
        if sum(map(str.isdecimal, text)) < _LEAST_DIGITS or not dialled(text):
            return None
        return grouped(text)

    rules: list[Rule] = [(_PHONE, phone)]
    if words.region in ("US", "CA"):
        rules.append((_LOCAL, lambda match, _: grouped(match.group())))
    return rules


def numbers(words: Words) -> list[Rule]:
    """Numbers that count nothing: of orders and bookings, codes; and the keys of a telephone."""
    star, hash, number = words.word("star"), words.word("hash"), words.word("number")
    named = _named(words.some("codes_after"))

    def figures(match: re.Match[str], clause: str) -> str | None:
        text = match.group()
        if len(text) >= 7 or (text[0] == "0" and len(text) > 1):
            return spelt(text)
        if named is None or len(text) < 4:
            return None
        reach = _WORDS_BEFORE_YEAR if _YEAR.fullmatch(text) else _WORDS_BEFORE
        earlier = " ".join(clause[: match.start()].split()[-reach:])
        return spelt(text) if named.search(earlier) else None

    def code(match: re.Match[str], _: str) -> str | None:
        text = match.group()
        if sum(map(str.isdecimal, text)) < 3:
            return None  # MP3, COVID-19: a name
        return ", ".join(
            " ".join(spelt(run) for run in re.findall(r"\d+|[A-Z]+", part))
            for part in text.split("-")
        )

    def key(match: re.Match[str], _: str) -> str | None:
        first, digits, last = match.groups()
        if first == "#" and digits and not last:
            if number is None:
                return None
            return f"{number} {spelt(digits) if len(digits) > 3 else digits}"
        marks = {"*": star, "#": hash}
        if marks[first] is None or (last and marks[last] is None):
            return None
        said = (marks[first], spelt(digits or ""), marks[last] if last else "")
        return " ".join(part for part in said if part)

    return [(_KEY, key), (_CODE, code), (_FIGURES, figures)]


def _named(nouns: tuple[str, ...]) -> re.Pattern[str] | None:
    if not nouns:
        return None
    if is_unspaced(nouns[0][0]):
        return re.compile(any_of(nouns))
    return re.compile(rf"(?<!\w)(?:{any_of(nouns)})(?!\w)(?! of\b)", re.IGNORECASE)


def abbreviations(words: Words) -> list[Rule]:
    """Words for short ones, as written with all their full stops, in small letters or with a
    capital. "Nr. #" is one before a number only, "*str." the end of a word. At the end of a clause
    the last full stop stays."""
    full: dict[str, str] = {}
    numbered: dict[str, str] = {}
    endings: dict[str, str] = {}
    for short, long in words.table("abbreviations").items():
        table = full
        if short.endswith("#"):
            table, short = numbered, short[:-1].rstrip()
        elif short.startswith("*"):
            table, short = endings, short[1:]
        table[short] = long
        table.setdefault(short[0].upper() + short[1:], long[0].upper() + long[1:])
    marks = words.table("marks")

    def say(table: dict[str, str]) -> Say:
        def said(match: re.Match[str], clause: str) -> str:
            long = table[" ".join(match.group().split())]
            over = not clause[match.end() :].strip("\"')]»”’ ")
            return f"{long}." if over and match.group().endswith(".") else long

        return said

    def pattern(table: dict[str, str]) -> str:
        return any_of(table).replace(r"\ ", r"\s+") or "(?!)"

    return [
        (re.compile(rf"(?<![\w.])(?:{pattern(full)})(?!\w)"), say(full)),
        (re.compile(rf"(?<![\w.])(?:{pattern(numbered)})(?=\s*\d)"), say(numbered)),
        (re.compile(rf"(?<=\w)(?:{pattern(endings)})(?!\w)"), say(endings)),
        (
            re.compile(rf"(?<!\w)(?:{any_of(marks) or '(?!)'})(?!\w)"),
            lambda match, _: marks[match.group()],
        ),
    ]
