"""What the rules of reading need to know of a language, and how its numbers are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, cast

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal, get_currency_name
from babel.units import format_unit
from unicode_rbnf import RbnfEngine
from unicode_rbnf.engine import RbnfError

from chorus.languages import Languages, code_of
from chorus.languages.told import Told
from chorus.talk.text.units import is_unspaced

Say = Callable[[re.Match[str], str], "str | None"]
Rule = tuple[re.Pattern[str], Say]
"""What to look for, and what is said instead of a match in a clause; None: it stays as it is. The
match is made in a copy of the clause in which letters of scripts without spaces are spaces."""

NUMBER = r"\d+(?:[.,'’\u00a0\u202f٫٬ ]\d+)*"
"""A number as any language writes it; `Words.number` knows what it means, if anything."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, exactly as it was written: figures before and after the decimal sign."""

    whole: str
    part: str = ""

    @property
    def value(self) -> Decimal:
        return Decimal(f"{int(self.whole)}.{self.part or 0}")


@dataclass(frozen=True, slots=True)
class Words:
    """`told` is the language file's `[reading]`; `region` an ISO 3166 code."""

    locale: Locale
    region: str
    told: Told = field(repr=False)
    _rbnf: RbnfEngine | None = field(repr=False)

    @classmethod
    def of(cls, known: Languages, language: str | None) -> Words:
        """English where nothing is known of the language."""
        tag = (language or "en").replace("_", "-")
        code = code_of(tag) or "en"
        try:
            locale = Locale.parse(tag, sep="-")
        except (ValueError, UnknownLocaleError):
            try:
                locale = Locale.parse(code)
            except (ValueError, UnknownLocaleError):
                locale, code = Locale.parse("en"), "en"
        likely = str(get_global("likely_subtags").get(locale.language, ""))
        region = locale.territory or likely.rpartition("_")[2]
        told = known[code].reading if code in known else Told()
        try:
            rbnf = RbnfEngine.for_language(locale.language)
        except ValueError:
            rbnf = None
        return cls(locale, region, told, rbnf)

    def word(self, name: str) -> str | None:
        """One word or pattern of the language's file."""
        return self.told.words.get(name)

    def some(self, name: str) -> tuple[str, ...]:
        """A list of the language's file."""
        return self.told.lists.get(name, ())

    def table(self, name: str) -> dict[str, str]:
        """A table of texts of the language's file."""
        table = self.told.table(name)
        return {key: each for key, each in table.items() if isinstance(each, str)}

    # --- numbers ------------------------------------------------------------------------------

    def _symbol(self, name: str, else_: str) -> str:
        symbols = cast("dict[str, Any]", self.locale.number_symbols)
        return str(symbols.get("latn", symbols).get(name, else_))

    def number(self, text: str) -> Amount | None:
        """What a number means in this language: "1.234,5" is 1234.5 in German. Where it can be no
        such number it is read by the English way or the other's, as a language model may write."""
        bare = re.sub(r"[ \u00a0\u202f'’٬]", "", text).replace("٫", ".")
        if "٫" in text or "٬" in text:
            decimal, group = ".", ","
        else:
            decimal, group = self._symbol("decimal", "."), self._symbol("group", ",")
            group = group if group in ".," else {".": ",", ",": "."}.get(decimal, ",")
        for point, comma in ((decimal, group), (group, decimal)):
            whole, _, part = bare.partition(point)
            digits = whole.split(comma)
            grouped = len(digits) == 1 or (
                len(digits[0]) <= 3 and all(len(each) in (2, 3) for each in digits[1:])
            )
            if grouped and all(map(str.isdecimal, digits)) and (not part or part.isdecimal()):
                return Amount("".join(digits), part)
        return None

    def figures(self, amount: Amount) -> str:
        """Without marks between thousands, and with the decimal sign that this language reads."""
        if not amount.part:
            return amount.whole
        spelt = self.word("decimal")
        if spelt:
            return f"{amount.whole} {spelt} {amount.part}"
        return f"{amount.whole}{self._symbol('decimal', '.')}{amount.part}"

    def currency(self, code: str, amount: Amount) -> str:
        """Its name for so much of it: "euros"."""
        told = self.counted("currencies", code, amount)
        if told is not None:
            return told
        return get_currency_name(code, float(amount.value), self.locale)

    def counted(self, table: str, key: str, amount: Amount) -> str | None:
        """An entry of a table for so much of it."""
        told = self.told.table(table).get(key)
        if told is None or isinstance(told, str):
            return told
        if isinstance(told, tuple):
            return told[0] if amount.value == 1 else told[-1]
        return told.get(self.locale.plural_form(amount.value), told["other"])

    def unit(self, unit: str, amount: Amount) -> str | None:
        """So much of a CLDR unit, in full: "5 kilometres"."""
        said = format_unit(amount.value, unit, "long", locale=self.locale)
        if unit in said:
            return None  # CLDR's data have no name for it here
        plain = format_decimal(amount.value, locale=self.locale)
        return said.replace(plain, self.figures(amount)).replace("\u00a0", " ")

    # --- days and ordinals --------------------------------------------------------------------

    @property
    def months(self) -> dict[str, int]:
        """All forms in which months are written, also at the beginning of a sentence."""
        found: dict[str, int] = {}
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in self.locale.months[context][width].items():
                    found.setdefault(name, number)
                    found.setdefault(name[:1].upper() + name[1:], number)
        return found

    @property
    def day_first(self) -> bool:
        """Whether 3/5 is the third of May."""
        pattern = self.locale.date_formats["short"].pattern
        return pattern.find("d") < pattern.find("M")

    def day(self, day: date, *, year: bool) -> str:
        """A day as it is written in full."""
        if year:
            return format_date(day, "long", locale=self.locale)
        return format_skeleton("MMMMd", day, locale=self.locale)

    def ordinal(self, number: int, ruleset: str) -> str | None:
        """By a rule set of CLDR, such as `spellout-ordinal`; None where there is none."""
        if self._rbnf is None:
            return None
        try:
            return self._rbnf.format_number(number, ruleset_names=[ruleset]).text
        except (ValueError, RbnfError):
            return None


def any_of(words: Iterable[str]) -> str:
    """A pattern for any of them, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def space_out(clause: str) -> str:
    """A copy for looking in, of the same length."""
    if clause.isascii():
        return clause
    return "".join(" " if is_unspaced(char) else char for char in clause)


def spelt(figures: str) -> str:
    """Each character on its own."""
    return " ".join(figures)
