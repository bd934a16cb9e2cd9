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
from datetime import date
from typing import ClassVar, TypeVar
from uuid import UUID, uuid5

from chorus.audio.sounds import SOUNDS, Sound
from chorus.catalogue.espeak import installed_voices
from chorus.catalogue.piper import found_voices
from chorus.providers.in_force import KeyInForce
from chorus.providers.models import hears, known
from chorus.settings import Settings
from chorus.speech.vendor.options import bare

_NAMESPACE = UUID("0c1a7a52-6f0e-5c0b-8f43-0d9b4f0e6a11")
_NO_SLUG = re.compile(r"[^a-z0-9._-]+")
_OPENAI_CONTEXT = {"gpt-4.1": 1_047_576, "gpt-4o": 128_000, "gpt-5": 400_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What all entries have. `key` is the vendor's that opens it, None for what needs none or the
    operator's oldest setting. `priced_as` is the price list's name, where that is not made of
    engine and id. `kind` goes into ids, which agents keep: it never changes."""

    kind: ClassVar[str]
    engine: str
    engine_id: str
    name: str
    provider: str
    available: bool = True
    key: KeyInForce | None = field(default=None, repr=False, compare=False)
    priced_as: str = ""
    id: UUID = field(init=False)
    slug: str = field(init=False)

    def __post_init__(self) -> None:
        named = f"{self.kind}:{self.engine}:{self.engine_id}"
        object.__setattr__(self, "id", uuid5(_NAMESPACE, named))
        own = self.engine == self.engine_id
        name = self.engine if own else f"{self.engine}-{self.engine_id}"
        object.__setattr__(self, "slug", _NO_SLUG.sub("-", name.lower()))

    @property
    def price_name(self) -> str:
        return self.priced_as or f"{self.engine}/{self.engine_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceEntry(Entry):
    """`languages` are BCP 47 tags, the main one first; empty where the vendor names none. `spoken`
    is what the engine calls the voice, "" for its own default; `model` the vendor's model."""

    kind = "voice"
    spoken: str | None = None
    model: str = ""
    languages: tuple[str, ...] = ()
    gender: str | None = None
    licence: str | None = None
    preview_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlmModelEntry(Entry):
    """`hears`: it takes the caller's turns as sound."""

    kind = "slmmodel"
    context_window: int | None = None
    retires: date | None = None
    hears: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriberEntry(Entry):
    """`languages` are BCP 47 tags without region; empty where the vendor names none. `p99_ms`:
    from the end of speech to the final words, where it is known. `model` as for a voice."""

    kind = "transcriber"
    languages: tuple[str, ...] = ()
    model: str = ""
    p99_ms: float | None = None


LOCAL_EARS = TranscriberEntry(
    engine="local",
    engine_id="local",
    name="On this machine",
    provider="chorus",
    priced_as="pocketsphinx",
)
"""Whisper or PocketSphinx, whichever is there for the language; one price for both."""
SIMULATED_EARS = TranscriberEntry(
    engine="simulated",
    engine_id="simulated",
    name="Simulated",
    provider="simulated",
    languages=("en",),
    priced_as="simulated",
)


def spoken_id(voice: VoiceEntry) -> str:
    """What its engine calls a voice."""
    return voice.engine_id if voice.spoken is None else voice.spoken


T = TypeVar("T", bound=Entry)


class Catalogue:
    """The entries, in the order in which they are listed; the first of each is the default."""

    def __init__(
        self,
        voices: Iterable[VoiceEntry],
        models: Iterable[SlmModelEntry],
        transcribers: Iterable[TranscriberEntry] = (),
    ) -> None:
        self.voices = tuple(voices)
        self.models = tuple(models)
        self.transcribers = tuple(transcribers)
        self.sounds: tuple[Sound, ...] = SOUNDS
        self._voices = {voice.id: voice for voice in self.voices}
        self._models = {model.id: model for model in self.models}
        self._transcribers = {each.id: each for each in self.transcribers}
        self._sounds = {sound.id: sound for sound in self.sounds}

    @classmethod
    def of(cls, settings: Settings) -> Catalogue:
        return cls(_voices(settings), _models(settings), _transcribers(settings))

    def voice(self, id: UUID) -> VoiceEntry | None:
        return self._voices.get(id)

    def model(self, id: UUID) -> SlmModelEntry | None:
        return self._models.get(id)

    def voice_named(self, name: str) -> VoiceEntry | None:
        """By id, by slug, or by a name where no other entry has it too."""
        return _named(self.voices, self._voices, name)

    def model_named(self, name: str) -> SlmModelEntry | None:
        """As `voice_named`."""
        return _named(self.models, self._models, name)

    def transcriber_named(self, name: str) -> TranscriberEntry | None:
        """As `voice_named`."""
        return _named(self.transcribers, self._transcribers, name)

    def transcriber(self, id: UUID) -> TranscriberEntry | None:
        return self._transcribers.get(id)

    def sound(self, id: UUID) -> Sound | None:
        return self._sounds.get(id)

    @property
    def default_voice(self) -> VoiceEntry | None:
        return self.voices[0] if self.voices else None

    def voice_for(self, language: str | None) -> VoiceEntry | None:
        """The default; where that is a vendor's, the first that speaks a language (BCP 47 or
        unknown). What is on this machine finds a voice for the language by itself."""
        return _for(self.voices, language)

    @property
    def default_transcriber(self) -> TranscriberEntry | None:
        return self.transcribers[0] if self.transcribers else None

    def transcriber_for(self, language: str | None) -> TranscriberEntry | None:
        """As `voice_for`."""
        return _for(self.transcribers, language)

    @property
    def default_model(self) -> SlmModelEntry | None:
        return self.models[0] if self.models else None


def _named(entries: Sequence[T], by_id: Mapping[UUID, T], name: str) -> T | None:
    try:
        return by_id.get(UUID(name))
    except ValueError:
        wanted = name.strip().lower()
    for entry in entries:
        if entry.slug == wanted:
            return entry
    found = [each for each in entries if wanted in (each.engine_id.lower(), each.name.lower())]
    return found[0] if len(found) == 1 else None


S = TypeVar("S", VoiceEntry, TranscriberEntry)


def _for(entries: tuple[S, ...], language: str | None) -> S | None:
    wanted = bare(language)
    if wanted is not None and entries and entries[0].key is not None:
        for entry in entries:
            if not entry.languages or wanted in (bare(each) for each in entry.languages):
                return entry
    return entries[0] if entries else None


def _models(settings: Settings) -> Iterable[SlmModelEntry]:
    if settings.openai_usable:
        for name in settings.openai_models:
            yield SlmModelEntry(
                engine="openai",
                engine_id=name,
                name=name,
                provider="openai",
                context_window=settings.openai_options.get("contextWindow")
                or _context_window(name),
                retires=retires("openai", name),
                hears=hears(name),
            )
    yield SlmModelEntry(engine="script", engine_id="script", name="Script", provider="chorus")
    if settings.simulated:
        yield SlmModelEntry(
            engine="simulated", engine_id="simulated", name="Simulated", provider="simulated"
        )


def retires(vendor: str, name: str) -> date | None:
    """The end of a model that is known by name, where its vendor has said so."""
    found = known(vendor, name)
    return found.retires if found else None


def _transcribers(settings: Settings) -> Iterable[TranscriberEntry]:
    yield LOCAL_EARS
    if settings.simulated:
        yield SIMULATED_EARS


def _context_window(name: str) -> int | None:
    """Tokens, from the vendor's model pages, for the families whose names say enough."""
    found = max((f for f in _OPENAI_CONTEXT if name.startswith(f)), key=len, default=None)
    return _OPENAI_CONTEXT[found] if found else None


def _voices(settings: Settings) -> Iterable[VoiceEntry]:
    for spoken in found_voices(settings.models_dir):
        yield VoiceEntry(
            engine="piper",
            engine_id=spoken.id,
            name=spoken.name,
            provider="piper",
            languages=(spoken.language,),
            licence=spoken.licence,
        )
    for found in installed_voices():
        yield VoiceEntry(
            engine="espeak",
            engine_id=found.id,
            name=found.name,
            provider="espeak",
            languages=found.languages,
            gender=found.gender,
            licence="GPL-3.0 or later (the engine)",
        )
    if settings.simulated:
        yield VoiceEntry(
            engine="simulated",
            engine_id="simulated",
            name="Simulated",
            provider="simulated",
            languages=("en",),
        )
