"""Which voices espeak-ng has, read from its data files without loading the library.

Each file under `espeak-ng-data/lang` is a voice: lines `name`, and `language <tag>
[priority]`, the first of which is its own; the library finds it by the file's name. A
language whose dictionary is not there is left out. espeak's voices are male unless a variant is
added to the name; each language is offered plain and as the variant `f3`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

FEMALE = "+f3"
DEFAULT = "en-us"
# Where a language has several voices, the one that its bare tag means.
_PREFERRED = {"en": "en-us", "fr": "fr-fr", "pt": "pt-br", "zh": "cmn", "no": "nb"}


@dataclass(frozen=True, slots=True)
class EspeakVoiceInfo:
    """`id` is what `VoiceStyle.voice` takes; `language` a BCP 47 tag in lower case; `file` what
    the library calls it."""

    id: str
    name: str
    language: str
    gender: Literal["male", "female"]
    file: str


@lru_cache(maxsize=1)
def espeak_voices() -> tuple[EspeakVoiceInfo, ...]:
    """All voices, sorted by id; none where `espeakng-loader` is not installed."""
    spec = find_spec("espeakng_loader")
    found: dict[str, EspeakVoiceInfo] = {}
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for file in (Path(root) / "espeak-ng-data" / "lang").rglob("*"):
            if file.is_file():
                for voice in _read(file):
                    found[voice.id] = voice
    return tuple(found[key] for key in sorted(found))


def pick_voice(voice: str, language: str | None) -> EspeakVoiceInfo | None:
    """The voice to speak with: `voice` if it is one, else the voice of the language (of its first
    part, where the whole tag has none), else English. None for a voice that there is not."""
    known = {info.id: info for info in espeak_voices()}
    if voice:
        return known.get(voice)
    tag = (language or DEFAULT).lower().replace("_", "-")
    primary = tag.split("-")[0]
    for wanted in (_PREFERRED.get(tag), tag, _PREFERRED.get(primary), primary):
        if wanted in known:
            return known[wanted]
    related = sorted(id for id in known if id.split("-")[0] == primary and "+" not in id)
    return known.get(related[0] if related else DEFAULT)


def _read(file: Path) -> tuple[EspeakVoiceInfo, ...]:
    name = language = dictionary = ""
    for line in file.read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(" ")
        if key == "name":
            name = value.split("//")[0].strip()
        elif key == "language" and not language and value.split():
            language = value.split()[0].lower()
        elif key == "dictionary":
            dictionary = value.strip()
    if not name or not language:
        return ()
    data = next(parent for parent in file.parents if parent.name == "lang").parent
    if not (data / f"{dictionary or language.split('-')[0]}_dict").exists():
        return ()
    return (
        EspeakVoiceInfo(language, name, language, "male", file.name),
        EspeakVoiceInfo(
            language + FEMALE, f"{name}, female", language, "female", file.name + FEMALE
        ),
    )
