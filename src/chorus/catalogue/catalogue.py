"""What this process can really use: voices, language models and background sounds.

Built once from the settings and from what is installed. An entry's id is derived from its
engine and the engine's own name for it, so it is the same on every machine and after every
restart, and agents can keep it; so is its slug, which people can write. `engine` and `engine_id`
say how a call gets it; they are not part of the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID, uuid5

from chorus.audio.sounds import SOUNDS, Sound
from chorus.catalogue.espeak import installed_voices
from chorus.catalogue.piper import found_voices
from chorus.settings import Settings

_NAMESPACE = UUID("0c1a7a52-6f0e-5c0b-8f43-0d9b4f0e6a11")
_NO_SLUG = re.compile(r"[^a-z0-9._-]+")
_OPENAI_CONTEXT = {"gpt-4.1": 1_047_576, "gpt-4o": 128_000, "gpt-5": 400_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What all entries have. Prices are in dollars, None where Chorus does not know them."""

    engine: str
    engine_id: str
    name: str
    provider: str
    available: bool = True
    id: UUID = field(init=False)
    slug: str = field(init=False)

    def __post_init__(self) -> None:
        kind = type(self).__name__.lower()
        object.__setattr__(self, "id", uuid5(_NAMESPACE, f"{kind}:{self.engine}:{self.engine_id}"))
        own = self.engine == self.engine_id
        name = self.engine if own else f"{self.engine}-{self.engine_id}"
        object.__setattr__(self, "slug", _NO_SLUG.sub("-", name.lower()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice(Entry):
    """`languages` are BCP 47 tags, the main one first."""

    languages: tuple[str, ...]
    gender: str | None = None
    licence: str | None = None
    preview_url: str | None = None
    price_per_million_characters: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlmModel(Entry):
    context_window: int | None = None
    price_per_million_input_tokens: float | None = None
    price_per_million_output_tokens: float | None = None


T = TypeVar("T", bound=Entry)


class Catalogue:
    """The entries, in the order in which they are listed; the first of each is the default."""

    def __init__(self, voices: Iterable[Voice], models: Iterable[SlmModel]) -> None:
        self.voices = tuple(voices)
        self.models = tuple(models)
        self.sounds: tuple[Sound, ...] = SOUNDS
        self._voices = {voice.id: voice for voice in self.voices}
        self._models = {model.id: model for model in self.models}
        self._sounds = {sound.id: sound for sound in self.sounds}

    @classmethod
    def of(cls, settings: Settings) -> Catalogue:
        return cls(_voices(settings), _models(settings))

    def voice(self, id: UUID) -> Voice | None:
        return self._voices.get(id)

    def model(self, id: UUID) -> SlmModel | None:
        return self._models.get(id)

    def voice_named(self, name: str) -> Voice | None:
        """By id, by slug, or by the engine's own name where no other engine has it too."""
        return _named(self.voices, self._voices, name)

    def model_named(self, name: str) -> SlmModel | None:
        """As `voice_named`."""
        return _named(self.models, self._models, name)

    def sound(self, id: UUID) -> Sound | None:
        return self._sounds.get(id)

    @property
    def default_voice(self) -> Voice | None:
        return self.voices[0] if self.voices else None

    @property
    def default_model(self) -> SlmModel | None:
        return self.models[0] if self.models else None


def _named(entries: Sequence[T], by_id: Mapping[UUID, T], name: str) -> T | None:
    try:
        return by_id.get(UUID(name))
    except ValueError:
        wanted = name.strip().lower()
    for entry in entries:
        if entry.slug == wanted:
            return entry
    found = [entry for entry in entries if entry.engine_id.lower() == wanted]
    return found[0] if len(found) == 1 else None


def _models(settings: Settings) -> Iterable[SlmModel]:
    if settings.openai_usable:
        for name in settings.openai_models:
            yield SlmModel(
                engine="openai",
                engine_id=name,
                name=name,
                provider="openai",
                context_window=settings.openai_options.get("contextWindow")
                or _context_window(name),
            )
    yield SlmModel(engine="script", engine_id="script", name="Script", provider="chorus")
    if settings.simulated:
        yield SlmModel(
            engine="simulated", engine_id="simulated", name="Simulated", provider="simulated"
        )


def _context_window(name: str) -> int | None:
    """Tokens, from the vendor's model pages, for the families whose names say enough."""
    found = max((f for f in _OPENAI_CONTEXT if name.startswith(f)), key=len, default=None)
    return _OPENAI_CONTEXT[found] if found else None


def _voices(settings: Settings) -> Iterable[Voice]:
    for spoken in found_voices(settings.models_dir):
        yield Voice(
            engine="piper",
            engine_id=spoken.id,
            name=spoken.name,
            provider="piper",
            languages=(spoken.language,),
            licence=spoken.licence,
            price_per_million_characters=0.0,
        )
    for found in installed_voices():
        yield Voice(
            engine="espeak",
            engine_id=found.id,
            name=found.name,
            provider="espeak",
            languages=found.languages,
            gender=found.gender,
            licence="GPL-3.0 or later (the engine)",
            price_per_million_characters=0.0,
        )
    if settings.simulated:
        yield Voice(
            engine="simulated",
            engine_id="simulated",
            name="Simulated",
            provider="simulated",
            languages=("en",),
            price_per_million_characters=0.0,
        )
