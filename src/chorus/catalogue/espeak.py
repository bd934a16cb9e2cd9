"""Which voices the installed espeak-ng has, read from its data files without loading it.

Each file below `lang/` is a voice: lines of `name`, `language` (the first is the main one, and
the voice's id) and `gender` (espeak-ng's docs/voices.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_FIRST = ("en-us", "en-gb")


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """`id` is what espeak-ng is told to speak with."""

    id: str
    name: str
    languages: tuple[str, ...]
    gender: str | None


@lru_cache(maxsize=1)
def installed_voices() -> tuple[EspeakVoice, ...]:
    """American and British English first, then by language; empty if it is not installed."""
    spec = find_spec("espeakng_loader")
    found: dict[str, EspeakVoice] = {}
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted((Path(root) / "espeak-ng-data" / "lang").rglob("*")):
            voice = _read(path) if path.is_file() else None
            if voice is not None:
                found.setdefault(voice.id, voice)
    order = {id: place for place, id in enumerate(_FIRST)}
    return tuple(sorted(found.values(), key=lambda v: (order.get(v.id, len(order)), v.id)))


def _read(path: Path) -> EspeakVoice | None:
    name, gender, languages = "", None, list[str]()
    for line in path.read_text("utf-8", "replace").splitlines():
        match line.split("//")[0].split():
            case ["name", *words]:
                name = " ".join(words)
            case ["language", language, *_]:
                languages.append(language)
            case ["gender", value, *_]:
                gender = value
            case _:
                continue
    if not name or not languages:
        return None
    return EspeakVoice(languages[0], name, tuple(dict.fromkeys(languages)), gender)
