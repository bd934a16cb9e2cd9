"""How the catalogue looks in the API."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from chorus.wire import In, Number, Out, Text

Slug = Annotated[str, Field(description="Stands for the id in requests; the same everywhere.")]


class VoiceOut(Out):
    """A voice that agents of this organization can speak with."""

    id: UUID
    slug: Slug
    name: str
    provider: str
    language: str
    languages: list[str]
    gender: str | None
    licence: str | None
    preview_url: str | None
    price_per_million_characters: float | None
    available: bool
    is_default: bool


class VoicePreviewRequest(In):
    """What is to be spoken, and how."""

    text: Annotated[
        Text | None,
        Field(max_length=300, description="Else a sentence in the voice's own language."),
    ] = None
    speed: Annotated[Number, Field(ge=0.6, le=1.5, description="As an agent's `voiceSpeed`.")] = 1.0
    stability: Annotated[
        Number, Field(ge=0, le=1, description="As an agent's `voiceStability`.")
    ] = 0.5


class SlmModelOut(Out):
    """A language model that agents of this organization can think with."""

    id: UUID
    slug: Slug
    name: str
    provider: str
    context_window: int | None
    price_per_million_input_tokens: float | None
    price_per_million_output_tokens: float | None
    retires: date | None
    audio_input: bool
    price_per_million_audio_tokens: float | None
    available: bool
    is_default: bool


class TranscriberOut(Out):
    """What agents of this organization can hear with."""

    id: UUID
    slug: Slug
    name: str
    provider: str
    languages: list[str]
    latency_p99_ms: float | None
    price_per_minute: float | None
    available: bool
    is_default: bool


class BackgroundSoundOut(Out):
    """A sound that can be played under a call."""

    id: UUID
    name: str
    description: str
