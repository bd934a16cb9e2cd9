"""What keys of vendors add to the catalogue: entries for each model, transcriber and voice.

Which models a vendor has is known by name (`providers/models.py`) or named with the key; which
voices, the vendor itself says (`lists.py`), and until it has, its default voice is there, so that
an agent works with a key alone. An entry's id depends on the vendor and its own name for the
thing; of servers of one's own, on their key as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chorus.catalogue.catalogue import Catalogue, SlmModelEntry, TranscriberEntry, VoiceEntry
from chorus.providers.in_force import KeyInForce
from chorus.providers.models import KNOWN, hears, known
from chorus.speech.vendor.options import VendorVoice
from chorus.speech.vendors import VENDORS, Vendor

# What answers a whole turn at once, or may have no audio at all, has to be chosen: it is listed
# behind what is on this machine, and is nobody's default.
_BY_CHOICE = ("openai", "groq", "azure_speech", "google_speech", "faseeh", "custom")
_GENDERS = ("male", "female", "neutral")


def speech_vendor(name: str) -> Vendor | None:
    """Who hears or speaks with a key of the provider `name`."""
    return VENDORS.get(name)


def with_keys(
    base: Catalogue,
    keys: Sequence[KeyInForce],
    voices: Mapping[str, Sequence[VendorVoice]],
    models: Mapping[str, Sequence[str]],
) -> Catalogue:
    """`base` with what `keys` open before it. `voices` and `models`: what vendors said that there
    are, by the keys' fingerprints."""
    if not keys:
        return base
    found = [model for key in keys for model in _models(key, models.get(key.fingerprint, ()))]
    # The operator's models of OpenAI are listed by their settings; a key of one's own goes first.
    named = {model.id for model in found}
    first = [key for key in keys if key.vendor.name not in _BY_CHOICE]
    then = [key for key in keys if key.vendor.name in _BY_CHOICE]

    def spoken(by: Sequence[KeyInForce]) -> Iterable[VoiceEntry]:
        return (voice for key in by for voice in _voices(key, voices.get(key.fingerprint, ())))

    def heard(by: Sequence[KeyInForce]) -> Iterable[TranscriberEntry]:
        return (each for key in by for each in _transcribers(key))

    return Catalogue(
        [*spoken(first), *base.voices, *spoken(then)],
        [*found, *(model for model in base.models if model.id not in named)],
        [*heard(first), *base.transcribers, *heard(then)],
    )


def _models(key: KeyInForce, listed: Sequence[str]) -> Iterable[SlmModelEntry]:
    vendor = key.vendor
    if "model" not in vendor.parts or (vendor.name == "openai" and key.id is None):
        return
    names = key.models or tuple(model.id for model in KNOWN.get(vendor.name, ())) or listed
    for name in names:
        fact = known(vendor.name, name)
        yield SlmModelEntry(
            engine=vendor.name,
            engine_id=_own(key, name),
            name=name,
            provider=vendor.name,
            key=key,
            priced_as=f"{vendor.name}/{name}",
            context_window=fact.context_window if fact else None,
            retires=fact.retires if fact else None,
            hears=hears(name),
        )


def _transcribers(key: KeyInForce) -> Iterable[TranscriberEntry]:
    vendor = speech_vendor(key.vendor.name)
    if vendor is None or vendor.make_transcriber is None:
        return
    for model in vendor.hears:
        yield TranscriberEntry(
            engine=key.vendor.name,
            engine_id=_own(key, model.id),
            name=f"{vendor.name} {model.name}",
            provider=key.vendor.name,
            key=key,
            languages=model.languages,
            model=model.id,
            p99_ms=model.p99_ms,
        )


def _voices(key: KeyInForce, listed: Sequence[VendorVoice]) -> Iterable[VoiceEntry]:
    vendor = speech_vendor(key.vendor.name)
    if vendor is None or vendor.make_voice is None or not vendor.speaks:
        return
    first = vendor.speaks[0]
    priced = f"{key.vendor.name}/{first.id}"
    yield VoiceEntry(
        engine=key.vendor.name,
        engine_id=_own(key, "default"),
        name=f"{vendor.name}, its default voice",
        provider=key.vendor.name,
        key=key,
        priced_as=priced,
        languages=first.languages,
        spoken="",
        model=first.id,
    )
    for voice in listed:
        labels = voice.labels or {}
        gender = labels.get("gender", "").lower()
        yield VoiceEntry(
            engine=key.vendor.name,
            engine_id=_own(key, voice.id),
            name=voice.name,
            provider=key.vendor.name,
            key=key,
            priced_as=f"{key.vendor.name}/{voice.model}" if voice.model else priced,
            languages=voice.languages or first.languages,
            gender=gender if gender in _GENDERS else None,
            preview_url=voice.preview_url or None,
            spoken=voice.id,
            model=voice.model or first.id,
        )


def _own(key: KeyInForce, name: str) -> str:
    return f"{key.label}:{name}" if key.label else name
