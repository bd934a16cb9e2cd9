"""What differs from language to language in a call, read from this folder, one file for each.

A file is TOML, named by the language's ISO 639-1 code: `backchannels`, a list of what people say
while they listen; `only_here`, those among them that mean something else in another language;
`open_words`, after which a sentence goes on, and `number_words`, its figures from zero to nine;
`fillers`, what is said while an answer is not there yet;
`[phrases]`, what the agent says on its own account, each of `PHRASES`; `[reading]`, how figures
and marks are read (`told.py`); and `[answered]`, lists of what is heard on calling a mailbox, a
menu or a person, each of `ANSWERED`. `backchannels` and `[phrases]` must be there.

A server may have a folder of its own (`use`). A file there is laid over the one of the same name
here: a list replaces the list, and in tables each entry its entry. A new file is a new language.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from chorus.languages.told import ReadingWrong, Told

FOLDER = Path(__file__).parent
PHRASES = (
    *("ask_again", "apology", "goodbye", "still_there"),
    *("nobody_free", "caller_left", "caller_waits", "take_or_leave", "not_connected"),
)
ANSWERED = (
    *("screening", "unavailable", "after_tone", "menu", "mailbox", "reached", "person", "hello"),
)
_LISTS = ("backchannels", "only_here", "open_words", "number_words", "fillers")
_LARGEST = 256 * 1024  # bytes of a file
# Codes of the same language, or of one that is closer to it than to English.
_SAME = {
    "no": "nb",
    "nn": "nb",
    "iw": "he",
    "in": "id",
    "ms": "id",
    "bs": "hr",
    "sh": "sr",
    "cmn": "zh",
    "yue": "zh",
    "mo": "ro",
}


class LanguageWrong(Exception):
    """A file or folder that cannot be used; the text names it, and the entry."""


@dataclass(frozen=True, slots=True)
class Language:
    """`phrases` by name, all of `PHRASES`; `answered` by name, some of `ANSWERED`. How many digits
    an agent asks for: `digit_nouns` begin the words for a digit, `digit_counts` are the numbers
    before them, `whole_numbers` what has a length of its own ("credit card number")."""

    code: str
    backchannels: tuple[str, ...]
    only_here: frozenset[str] = frozenset()
    open_words: frozenset[str] = frozenset()
    number_words: frozenset[str] = frozenset()
    phrases: Mapping[str, str] = field(default_factory=dict[str, str])
    reading: Told = field(default_factory=Told)
    answered: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    fillers: tuple[str, ...] = ()
    digit_nouns: tuple[str, ...] = ()
    digit_counts: Mapping[str, int] = field(default_factory=dict[str, int])
    whole_numbers: Mapping[str, int] = field(default_factory=dict[str, int])


class Languages(Mapping[str, Language]):
    """By their codes. Two are never equal, so that what is made of one may be kept by it."""

    def __init__(self, known: Mapping[str, Language]) -> None:
        self._known = dict(known)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, code: str) -> Language:
        return self._known[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def code_of(tag: str | None) -> str:
    """The file's name for a language tag such as pt-BR or zh_Hans; "" without one."""
    code = (tag or "").strip().casefold().replace("_", "-").split("-")[0]
    return _SAME.get(code, code)


_folder: Path | None = None


def use(folder: Path | None) -> None:
    """Which folder of its own the process has, told before the first call."""
    global _folder
    _folder = folder


def languages() -> Languages:
    """All of them; read once, which takes some milliseconds. Raises `LanguageWrong`."""
    return languages_with(_folder)


@cache
def languages_with(folder: Path | None) -> Languages:
    """Those of Chorus, with a folder laid over them. Raises `LanguageWrong`."""
    files = _files(FOLDER)
    for code, data in (_files(folder) if folder else {}).items():
        files[code] = _laid_over(data, files.get(code, {}))
    return Languages({code: _language(code, data) for code, data in sorted(files.items())})


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise LanguageWrong(f"{folder} cannot be read: {error.strerror}") from None
    return {path.stem: _file(path) for path in paths}


def _file(path: Path) -> dict[str, Any]:
    if not 2 <= len(path.stem) <= 3 or not path.stem.isascii() or not path.stem.islower():
        raise LanguageWrong(f"{path.name} is not named by a language's code, such as de.toml")
    if path.stem in _SAME:
        raise LanguageWrong(f"{path.name}: this language's file is {_SAME[path.stem]}.toml")
    try:
        if path.stat().st_size > _LARGEST:
            raise LanguageWrong(f"{path.name} is larger than {_LARGEST // 1024} KB")
        data = tomllib.loads(path.read_text("utf-8"))
        _check(data)
        Told.read(data.get("reading", {}))
    except ReadingWrong as error:
        raise LanguageWrong(f"{path.name}: {error}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise LanguageWrong(f"{path.name} cannot be read: {error}") from None
    return data


def _check(data: Mapping[str, Any]) -> None:
    """Raises `ReadingWrong` for what no language file has."""
    for name, value in data.items():
        if name in _LISTS:
            _texts(name, value)
        elif name in ("phrases", "reading", "answered", "digits"):
            if not isinstance(value, dict):
                raise ReadingWrong(f"{name} must be a table")
        else:
            raise ReadingWrong(f"{name} is no name that is known")
    for name, text in cast("dict[str, Any]", data.get("phrases", {})).items():
        if name not in PHRASES:
            raise ReadingWrong(f"phrases.{name} is no name that is known")
        if not isinstance(text, str) or not text.strip():
            raise ReadingWrong(f"phrases.{name} must be a text")

    for name, value in cast("dict[str, Any]", data.get("digits", {})).items():
        if name == "nouns":
            _texts("digits.nouns", value)
        elif name not in ("counts", "whole"):
            raise ReadingWrong(f"digits.{name} is no name that is known")
        elif not isinstance(value, dict) or not all(
            type(count) is int and 0 < count <= 40
            for count in cast("dict[str, Any]", value).values()
        ):
            raise ReadingWrong(f"digits.{name} must be words, each with a number up to 40")
    for name, value in cast("dict[str, Any]", data.get("answered", {})).items():
        if name not in ANSWERED:
            raise ReadingWrong(f"answered.{name} is no name that is known")
        _texts(f"answered.{name}", value)


def _texts(name: str, value: object) -> None:
    texts = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(each, str) and each.strip() for each in texts):
        raise ReadingWrong(f"{name} must be a list of texts")


def _laid_over(data: Mapping[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    """Lists and texts replace each other, tables are merged."""
    merged = dict(under)
    for name, value in data.items():
        below = under.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            over, base = cast("dict[str, Any]", value), cast("dict[str, Any]", below)
            merged[name] = _laid_over(over, base)
        else:
            merged[name] = value
    return merged


def _language(code: str, data: Mapping[str, Any]) -> Language:
    if "backchannels" not in data:
        raise LanguageWrong(f"{code}.toml lacks backchannels")
    phrases: dict[str, str] = data.get("phrases", {})
    if lacking := [name for name in PHRASES if name not in phrases]:
        raise LanguageWrong(f"{code}.toml lacks phrases.{lacking[0]}")
    texts = {name: tuple(cast("list[str]", data.get(name, []))) for name in _LISTS}
    if not set(texts["only_here"]) <= set(texts["backchannels"]):
        raise LanguageWrong(f"{code}.toml: only_here holds what is no back-channel")
    digits: Mapping[str, Any] = data.get("digits", {})
    return Language(
        code,
        texts["backchannels"],
        frozenset(texts["only_here"]),
        frozenset(texts["open_words"]),
        frozenset(texts["number_words"]),
        phrases,
        Told.read(data.get("reading", {})),
        {name: tuple(texts) for name, texts in data.get("answered", {}).items()},
        texts["fillers"],
        tuple(digits.get("nouns", ())),
        dict(digits.get("counts", {})),
        dict(digits.get("whole", {})),
    )
