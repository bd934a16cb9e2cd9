"""/v1/voices, /v1/slm-models, /v1/background-sounds: what can be chosen for an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Path, Query

from chorus.catalogue.catalogue import Catalogue, SlmModel, Voice
from chorus.catalogue.schemas import BackgroundSoundOut, SlmModelOut, VoiceOut
from chorus.errors import not_found
from chorus.route import InProcess, failures, router
from chorus.wire import Data, Page, SearchQuery, page

routes = router("Catalogue")
T = TypeVar("T")
EntryId = Annotated[str, Path(max_length=255, description="Its id or its slug.")]


def _part(entries: Sequence[T], query: SearchQuery) -> tuple[list[T], int]:
    wanted = (query.wanted or "").lower()
    found = [entry for entry in entries if wanted in str(getattr(entry, "name", "")).lower()]
    return found[query.offset : query.offset + query.limit], len(found)


def _voice(catalogue: Catalogue, voice: Voice) -> VoiceOut:
    return VoiceOut(
        id=voice.id,
        slug=voice.slug,
        name=voice.name,
        provider=voice.provider,
        language=voice.languages[0],
        languages=list(voice.languages),
        gender=voice.gender,
        licence=voice.licence,
        preview_url=voice.preview_url,
        price_per_million_characters=voice.price_per_million_characters,
        available=voice.available,
        is_default=voice is catalogue.default_voice,
    )


def _model(catalogue: Catalogue, model: SlmModel) -> SlmModelOut:
    return SlmModelOut(
        id=model.id,
        slug=model.slug,
        name=model.name,
        provider=model.provider,
        context_window=model.context_window,
        price_per_million_input_tokens=model.price_per_million_input_tokens,
        price_per_million_output_tokens=model.price_per_million_output_tokens,
        available=model.available,
        is_default=model is catalogue.default_model,
    )


@routes.get("/voices", operation_id="listVoices", summary="List voices")
async def list_voices(process: InProcess, query: Annotated[SearchQuery, Query()]) -> Page[VoiceOut]:
    voices, total = _part(process.catalogue.voices, query)
    return page(VoiceOut, [_voice(process.catalogue, voice) for voice in voices], total, query)


@routes.get("/voices/{id}", operation_id="getVoice", summary="Get a voice", responses=failures(404))
async def get_voice(process: InProcess, id: EntryId) -> Data[VoiceOut]:
    voice = process.catalogue.voice_named(id)
    if voice is None:
        raise not_found("Voice")
    return Data(data=_voice(process.catalogue, voice))


@routes.get("/slm-models", operation_id="listSlmModels", summary="List language models")
async def list_models(
    process: InProcess, query: Annotated[SearchQuery, Query()]
) -> Page[SlmModelOut]:
    models, total = _part(process.catalogue.models, query)
    return page(SlmModelOut, [_model(process.catalogue, model) for model in models], total, query)


@routes.get(
    "/slm-models/{id}",
    operation_id="getSlmModel",
    summary="Get a language model",
    responses=failures(404),
)
async def get_model(process: InProcess, id: EntryId) -> Data[SlmModelOut]:
    model = process.catalogue.model_named(id)
    if model is None:
        raise not_found("SLM model")
    return Data(data=_model(process.catalogue, model))


@routes.get(
    "/background-sounds", operation_id="listBackgroundSounds", summary="List background sounds"
)
async def list_sounds(
    process: InProcess, query: Annotated[SearchQuery, Query()]
) -> Page[BackgroundSoundOut]:
    sounds, total = _part(process.catalogue.sounds, query)
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
async def get_sound(process: InProcess, id: UUID) -> Data[BackgroundSoundOut]:
    sound = process.catalogue.sound(id)
    if sound is None:
        raise not_found("Background sound")
    return Data(data=BackgroundSoundOut.model_validate(sound))
