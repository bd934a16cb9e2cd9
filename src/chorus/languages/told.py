"""The `[reading]` of a language's file: how a language says figures and marks.

Everything may be left out; a language without a word lacks the rule that needs it. What is there
is checked, because the first to notice else would be a caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS = _names(
    "at dot slash dash underscore plus minus times equals divided less greater about "
    "plus_minus squared to star hash number decimal time_marks"
)
PATTERNS = {
    "percent": "n",
    "and_half": "n",
    "money": "whole currency part",
    "scaled": "number scale currency",
    "time": "h m",
    "full_hour": "h",
    "oh": "m",
}
"""Texts with places to fill in, and the names of those."""
LISTS = _names("scales oclock half_days codes_after ordinals_before")
TABLES = _names("currencies parts ordinals ordinals_after abbreviations marks")

Entry = str | tuple[str, ...] | Mapping[str, str]
"""Of a table: a text, [one, more], or texts by CLDR's plural categories."""


class ReadingWrong(ValueError):
    """What is wrong, and where: `reading.currencies.USD …`."""


@dataclass(frozen=True, slots=True)
class Told:
    """By name: `WORDS` and `PATTERNS`, `LISTS`, `TABLES`."""

    words: Mapping[str, str] = field(default_factory=dict[str, str])
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    tables: Mapping[str, Mapping[str, Entry]] = field(
        default_factory=dict[str, Mapping[str, Entry]]
    )

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Told:
        """Raises `ReadingWrong`."""
        words: dict[str, str] = {}
        lists: dict[str, tuple[str, ...]] = {}
        tables: dict[str, Mapping[str, Entry]] = {}
        for name, value in data.items():
            if name in WORDS or name in PATTERNS:
                words[name] = _pattern(name, _text(name, value))
            elif name in LISTS:
                lists[name] = _texts(name, value)
            elif name in TABLES:
                tables[name] = {
                    key: _entry(f"{name}.{key}", each) for key, each in _table(name, value).items()
                }
            else:
                raise ReadingWrong(f"reading.{name} is no name that is known")
        return cls(words, lists, tables)

    def table(self, name: str) -> Mapping[str, Entry]:
        """Empty where the language has none."""
        empty: dict[str, Entry] = {}
        return self.tables.get(name, empty)


def _pattern(name: str, text: str) -> str:
    try:
        text.format(**dict.fromkeys(PATTERNS.get(name, "").split(), ""))
    except (KeyError, IndexError, ValueError):
        places = ", ".join(f"{{{place}}}" for place in PATTERNS.get(name, "").split())
        raise ReadingWrong(f"reading.{name} may hold {places or 'no braces'} only") from None
    return text


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ReadingWrong(f"reading.{name} must be a text")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ReadingWrong(f"reading.{name} must be a list of texts")
    return tuple(_text(name, each) for each in cast("list[Any]", value))


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ReadingWrong(f"reading.{name} must be a table")
    return cast("dict[str, Any]", value)


def _entry(name: str, value: Any) -> Entry:
    if isinstance(value, list):
        return _texts(name, cast("list[Any]", value))
    if isinstance(value, dict):
        table = _table(name, value)
        if "other" not in table:
            raise ReadingWrong(f"reading.{name} lacks its plural category other")
        return {key: _text(f"{name}.{key}", each) for key, each in table.items()}
    return _text(name, value)
