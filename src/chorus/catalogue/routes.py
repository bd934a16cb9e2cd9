"""/v1/voices, /v1/slm-models, /v1/transcribers, /v1/background-sounds: what can be chosen for an
agent. Of what a vendor's key opens the vendor itself is asked, if its list is older than ten
minutes; if it does not answer within seconds, its last good list is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Request
from fastapi.responses import Response

from chorus.catalogue.catalogue import Catalogue, Entry, SlmModelEntry, TranscriberEntry, VoiceEntry
from chorus.catalogue.engines import NoEngine
from chorus.catalogue.preview import Wish
from chorus.catalogue.schemas import (
    BackgroundSoundOut,
    SlmModelOut,
    TranscriberOut,
    VoiceOut,
    VoicePreviewRequest,
)
from chorus.db import utcnow
from chorus.errors import not_found, unavailable
from chorus.llm.sound import AUDIO
from chorus.route import InOrganization, InProcess, failures, reading_router
from chorus.speech.engines import EngineFailed
from chorus.wire import Data, NameQuery, Page, page

routes = reading_router("Catalogue")
T = TypeVar("T")
EntryId = Annotated[str, Path(max_length=255, description="Its id or its slug.")]


_ANY = "mul"
"""BCP 47 for several languages: of a voice whose vendor names none."""


async def _catalogue(request: Request, process: InProcess, organization_id: InOrganization) -> Any:
    net = request.app.state.switchboard.outbound
    return await process.catalogues.fresh(organization_id, net)


async def _prices(request: Request) -> PriceOf:
    """From the operator's price list, which stands above this folder: dollars for `per` units."""
    prices = request.app.state.switchboard.admission.prices.at(utcnow())

    def price(meter: str, entry: Entry, per: int, of: str = "") -> float | None:
        found = prices.price(meter, f"{entry.price_name}{of}")
        return None if found is None else found.micros / found.per * per / 1_000_000

    return price


InCatalogue = Annotated[Catalogue, Depends(_catalogue)]
PriceOf = Callable[..., float | None]
InPrices = Annotated[PriceOf, Depends(_prices)]
_MINUTE_S = 60
_MILLION = 1_000_000


def _part(entries: Sequence[T], query: NameQuery) -> tuple[list[T], int]:
    wanted = (query.wanted or "").lower()
    found = [entry for entry in entries if wanted in str(getattr(entry, "name", "")).lower()]
    return found[query.offset : query.offset + query.limit], len(found)


def _voice(catalogue: Catalogue, voice: VoiceEntry, price: PriceOf) -> VoiceOut:
    return VoiceOut(
        id=voice.id,
        slug=voice.slug,
        name=voice.name,
        provider=voice.provider,
        language=voice.languages[0] if voice.languages else _ANY,
        languages=list(voice.languages),
        gender=voice.gender,
        licence=voice.licence,
        preview_url=voice.preview_url,
        price_per_million_characters=price("voice", voice, _MILLION),
        available=voice.available,
        is_default=voice is catalogue.default_voice,
    )


def _model(catalogue: Catalogue, model: SlmModelEntry, price: PriceOf) -> SlmModelOut:
    return SlmModelOut(
        id=model.id,
        slug=model.slug,
        name=model.name,
        provider=model.provider,
        context_window=model.context_window,
        price_per_million_input_tokens=price("model_input", model, _MILLION),
        price_per_million_output_tokens=price("model_output", model, _MILLION),
        retires=model.retires,
        audio_input=model.hears,
        price_per_million_audio_tokens=(
            price("model_input", model, _MILLION, AUDIO) if model.hears else None
        ),
        available=model.available,
        is_default=model is catalogue.default_model,
    )


def _transcriber(catalogue: Catalogue, each: TranscriberEntry, price: PriceOf) -> TranscriberOut:
    return TranscriberOut(
        id=each.id,
        slug=each.slug,
        name=each.name,
        provider=each.provider,
        languages=list(each.languages),
        latency_p99_ms=each.p99_ms,
        price_per_minute=price("transcription", each, _MINUTE_S),
        available=each.available,
        is_default=each is catalogue.default_transcriber,
    )


@routes.get("/voices", operation_id="listVoices", summary="List voices")
async def list_voices(
    catalogue: InCatalogue, price: InPrices, query: Annotated[NameQuery, Query()]
) -> Page[VoiceOut]:
    voices, total = _part(catalogue.voices, query)
    return page(VoiceOut, [_voice(catalogue, voice, price) for voice in voices], total, query)


@routes.get("/voices/{id}", operation_id="getVoice", summary="Get a voice", responses=failures(404))
async def get_voice(catalogue: InCatalogue, price: InPrices, id: EntryId) -> Data[VoiceOut]:
    voice = catalogue.voice_named(id)
    if voice is None:
        raise not_found("Voice")
    return Data(data=_voice(catalogue, voice, price))


@routes.post(
    "/voices/{id}/preview",
    operation_id="previewVoice",
    summary="Hear a voice",
    response_class=Response,
    responses={
        200: {
            "description": "A WAV file, mono, 16 kHz",
            "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
        },
        **failures(404, 503),
    },
)
async def preview_voice(
    request: Request,
    catalogue: InCatalogue,
    organization_id: InOrganization,
    id: EntryId,
    wish: VoicePreviewRequest,
) -> Response:
    """Spoken by the engine that calls would have, with all that its vendor charges; what was just
    made for the same request is sent again. `Server-Timing` tells how long the voice took to begin
    when it was made."""
    voice = catalogue.voice_named(id)
    if voice is None:
        raise not_found("Voice")
    text = " ".join((wish.text or "").split())
    asked = Wish(organization_id, voice, text, wish.speed, wish.stability)
    try:
        made = await request.app.state.switchboard.previews.of(asked)
    except (NoEngine, EngineFailed) as failure:
        raise unavailable(str(failure)) from None
    timing = {"server-timing": f"first-audio;dur={made.first_audio_ms}"}
    return Response(made.wav, media_type="audio/wav", headers=timing)


@routes.get("/slm-models", operation_id="listSlmModels", summary="List language models")
async def list_models(
    catalogue: InCatalogue, price: InPrices, query: Annotated[NameQuery, Query()]
) -> Page[SlmModelOut]:
    models, total = _part(catalogue.models, query)
    return page(SlmModelOut, [_model(catalogue, model, price) for model in models], total, query)


@routes.get(
    "/slm-models/{id}",
    operation_id="getSlmModel",
    summary="Get a language model",
    responses=failures(404),
)
async def get_model(catalogue: InCatalogue, price: InPrices, id: EntryId) -> Data[SlmModelOut]:
    model = catalogue.model_named(id)
    if model is None:
        raise not_found("SLM model")
    return Data(data=_model(catalogue, model, price))


@routes.get("/transcribers", operation_id="listTranscribers", summary="List transcribers")
async def list_transcribers(
    catalogue: InCatalogue, price: InPrices, query: Annotated[NameQuery, Query()]
) -> Page[TranscriberOut]:
    found, total = _part(catalogue.transcribers, query)
    return page(
        TranscriberOut, [_transcriber(catalogue, each, price) for each in found], total, query
    )


@routes.get(
    "/transcribers/{id}",
    operation_id="getTranscriber",
    summary="Get a transcriber",
    responses=failures(404),
)
async def get_transcriber(
    catalogue: InCatalogue, price: InPrices, id: EntryId
) -> Data[TranscriberOut]:
    each = catalogue.transcriber_named(id)
    if each is None:
        raise not_found("Transcriber")
    return Data(data=_transcriber(catalogue, each, price))


@routes.get(
    "/background-sounds", operation_id="listBackgroundSounds", summary="List background sounds"
)
async def list_sounds(
    catalogue: InCatalogue, query: Annotated[NameQuery, Query()]
) -> Page[BackgroundSoundOut]:
    sounds, total = _part(catalogue.sounds, query)
    return page(
        BackgroundSoundOut,
        [BackgroundSoundOut.model_validate(sound) for sound in sounds],
        total,
        query,
    )


@routes.get(
    "/background-sounds/{id}",
    operation_id="getBackgroundSound",
    summary="Get a background sound",
    responses=failures(404),
)
async def get_sound(catalogue: InCatalogue, id: UUID) -> Data[BackgroundSoundOut]:
    sound = catalogue.sound(id)
    if sound is None:
        raise not_found("Background sound")
    return Data(data=BackgroundSoundOut.model_validate(sound))
