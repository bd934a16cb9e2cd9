"""What differs from language to language in a call, read from this folder, one file for each.

A file is TOML, named by the language's ISO 639-1 code: `backchannels`, a list of what people say
while they listen; `only_here`, those among them that mean something else in another language;
`[phrases]`, what the agent says on its own account, each of `PHRASES`; and `[reading]`, how figures
and marks are read (`talk/text/reading/`), which may be left out. A new file is a new language.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from chorus.languages.told import ReadingWrong, Told

FOLDER = Path(__file__).parent
PHRASES = ("ask_again", "apology", "goodbye", "still_there")
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
    """A file that cannot be read; the text names it."""


@dataclass(frozen=True, slots=True)
class Language:
    """`phrases` by name, all of `PHRASES`."""

    code: str
    backchannels: tuple[str, ...]
    only_here: frozenset[str]
    phrases: Mapping[str, str] = field(default_factory=dict[str, str])
    reading: Told = field(default_factory=Told)


def code_of(tag: str | None) -> str:
    """The file's name for a language tag such as pt-BR or zh_Hans; "" without one."""
    code = (tag or "").strip().casefold().replace("_", "-").split("-")[0]
    return _SAME.get(code, code)


@cache
def languages() -> Mapping[str, Language]:
    """All of them by their code; read once, which takes some milliseconds. Raises
    `LanguageWrong`."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.toml"))}


def _read(path: Path) -> Language:
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        phrases = {name: str(data["phrases"][name]) for name in PHRASES}
        backchannels = tuple(str(each) for each in data["backchannels"])
        only_here = frozenset(str(each) for each in data.get("only_here", ()))
        reading = Told.read(data.get("reading", {}))
    except ReadingWrong as error:
        raise LanguageWrong(f"{path.name}: reading.{error}") from None
    except (OSError, ValueError) as error:
        raise LanguageWrong(f"{path.name} cannot be read: {error}") from None
    except (KeyError, TypeError) as error:
        raise LanguageWrong(f"{path.name} lacks {error}") from None
    if not only_here <= set(backchannels):
        raise LanguageWrong(f"{path.name}: only_here holds what is no back-channel")
    return Language(path.stem, backchannels, only_here, phrases, reading)
