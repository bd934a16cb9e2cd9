"""Agents at the HTTP edge. Ranges and defaults of the turn's settings: `talk/turns/events.py` says
what each does. Where a field may be null, null means the platform's own value."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
)

from chorus.agents.answering import Answering
from chorus.agents.extraction import ExtractionField, ExtractionSchema
from chorus.agents.key_input import KeyInput, unique_inputs
from chorus.agents.transfer_target import TransferTarget, unique_targets
from chorus.llm.options import OWN_FIELDS
from chorus.speech.racing import Hedging
from chorus.wire import (
    Flag,
    In,
    Name,
    Number,
    OneLine,
    Out,
    Text,
    Time,
    UniqueIds,
    Url,
    Whole,
    at_most,
    patch_of,
    told,
)

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise ValueError("must be a language code such as en or pt-BR")
    return value


def _extra_body(value: dict[str, Any]) -> dict[str, Any]:
    own = sorted(OWN_FIELDS & set(value))
    if own:
        raise ValueError(f"must not hold {', '.join(own)}")
    return value


class ModelOptions(In):
    """How a hosted language model is asked; what is null or absent is as the server sets it."""

    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=1_000_000, description="Of one reply.")] | None = (
        None
    )
    reasoning_effort: (
        Annotated[
            OneLine, Field(min_length=1, max_length=50, description="Such as minimal or low.")
        ]
        | None
    ) = None
    context_window: (
        Annotated[
            Whole,
            Field(ge=256, le=100_000_000, description="Tokens; older history is left out."),
        ]
        | None
    ) = None
    thinks_in_content: (
        Annotated[
            Flag,
            Field(
                description="Whether replies begin with reasoning that no tag opens. Found out "
                "with the first reply if null."
            ),
        ]
        | None
    ) = None
    first_token_timeout_ms: (
        Annotated[
            Whole,
            Field(ge=500, le=60_000, description="For the first text or tool call. 5000 if null."),
        ]
        | None
    ) = None
    extra_body: (
        Annotated[
            dict[str, Any],
            Field(
                max_length=50,
                description="Further fields of the request, as the vendor documents them; at most "
                "8192 bytes as JSON.",
            ),
            at_most(8192),
            AfterValidator(_extra_body),
        ]
        | None
    ) = None


# `edit.checked` makes it the id.
EntryId = Annotated[OneLine, Field(min_length=1, max_length=255)]


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must not name the same thing twice")
    return values


Fallbacks = Annotated[
    list[EntryId],
    Field(max_length=5, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]


class Pronunciation(In):
    """What is written, as a whole word or words, and how it is to be said."""

    text: Annotated[OneLine, Field(min_length=1, max_length=100)]
    spoken: Annotated[OneLine, Field(min_length=1, max_length=200)]


def _unique_texts(entries: list[Pronunciation]) -> list[Pronunciation]:
    texts = [entry.text.casefold() for entry in entries]
    if len(set(texts)) < len(texts):
        raise ValueError("must not hold the same text twice")
    return entries


Language = Annotated[Text, Field(max_length=10), told(_LANGUAGE), AfterValidator(_language)]
Milliseconds = Whole
Share = Annotated[Number, Field(ge=0, le=1)]


class AgentCreate(In):
    name: Name
    system_prompt: Annotated[Text, Field(max_length=32_000)] = ""
    slm_model_id: EntryId | None = None
    model_options: ModelOptions | None = None
    voice_id: EntryId | None = None
    transcriber_id: Annotated[
        EntryId | None,
        Field(description="Who hears the caller. The best there is a key of if null."),
    ] = None
    slm_model_fallback_ids: Annotated[
        Fallbacks,
        Field(description="What takes over when the language model fails, the best first."),
    ] = []
    voice_fallback_ids: Annotated[
        Fallbacks,
        Field(
            description="What takes over when the voice fails, the best first. A voice of this "
            "machine is the last resort in any case."
        ),
    ] = []
    transcriber_fallback_ids: Annotated[
        Fallbacks,
        Field(
            description="What takes over when the transcriber fails, the best first. What hears on "
            "this machine is the last resort in any case."
        ),
    ] = []
    languages: Annotated[
        list[Language],
        Field(
            max_length=10,
            json_schema_extra={"uniqueItems": True},
            description="What the caller may speak beside `languageHint`, for transcribers that "
            "hear several.",
        ),
        AfterValidator(_distinct),
    ] = []
    keyterms: Annotated[
        list[Annotated[OneLine, Field(min_length=1, max_length=50)]],
        Field(
            max_length=100,
            json_schema_extra={"uniqueItems": True},
            description="Words that are likely and hard to hear, such as names of products, for "
            "transcribers that take them.",
        ),
        AfterValidator(_distinct),
    ] = []
    pronunciations: Annotated[
        list[Pronunciation],
        Field(max_length=200, description="How to say what is written, with every voice."),
        AfterValidator(_unique_texts),
    ] = []
    voice_speed: Annotated[Number, Field(ge=0.6, le=1.5)] = 1.0
    voice_stability: Share = 0.5
    turn_endpoint_delay: Annotated[Milliseconds, Field(ge=50, le=2000)] | None = 100
    min_turn_duration: Annotated[Milliseconds, Field(ge=0, le=2000)] | None = 50
    min_interruption_duration: Annotated[Milliseconds, Field(ge=0, le=2000)] | None = 100
    frame_activation_threshold: Share | None = 0.35
    post_speech_cooldown: Annotated[Milliseconds, Field(ge=0, le=5000)] | None = 400
    ultravad_eot_threshold: Share | None = None
    speculative_silence_ms: Annotated[Milliseconds, Field(ge=0, le=5000)] | None = 150
    fallback_silence_ms: Annotated[Milliseconds, Field(ge=0, le=10_000)] | None = 3000
    allow_end_call: Flag = True
    allow_press_keys: Annotated[
        Flag,
        Field(description="Whether the agent may press keys, with its tool `press_keys`."),
    ] = False
    key_inputs: Annotated[
        list[KeyInput],
        Field(max_length=20, description="What the caller may be asked to key in."),
        AfterValidator(unique_inputs),
    ] = []
    is_active: Flag = True
    post_call_summary_enabled: Flag = False
    post_call_extraction_schema: ExtractionSchema = []
    post_call_webhook_url: Url | None = None
    first_speaker: Literal["user", "agent"] = "user"
    agent_greeting: Annotated[Text, Field(max_length=1000)] | None = None
    agent_greeting_enabled: Flag = False
    first_message_uninterruptible: Flag = False
    first_message_delay: Annotated[Milliseconds, Field(ge=0, le=10_000)] = 0
    max_call_duration_seconds: Annotated[Whole, Field(ge=30, le=3600)] = 600
    silence_timeout_seconds: Annotated[Whole, Field(ge=5, le=3600)] | None = 30
    silence_reminders: Annotated[Whole, Field(ge=0, le=10)] = 2
    latency_target_ms: Annotated[
        Annotated[Milliseconds, Field(ge=100, le=60_000)] | None,
        Field(
            description="How long callers may wait for the first sound of an answer. 95 of 100 "
            "turns are to keep to it, or `latency.breached` is told. Null: nothing is aimed at."
        ),
    ] = None
    hedging: Annotated[
        Hedging | None,
        Field(
            description="What is asked beside an engine that is slower than usual, where another "
            "stands in for it: the next language model (`model`), the next voice too (`all`), or "
            "nothing (`off`). Who begins first is heard; both are paid for. As the server sets it "
            "if null."
        ),
    ] = None
    filler_after_ms: Annotated[
        Annotated[Milliseconds, Field(ge=200, le=5000)] | None,
        Field(
            description="How long after the caller has fallen silent something short is said "
            "(`fillers`) if the turn is over and nothing of the answer is there. Null: never."
        ),
    ] = None
    fillers: Annotated[
        list[Annotated[OneLine, Field(min_length=1, max_length=60)]],
        Field(
            max_length=3,
            json_schema_extra={"uniqueItems": True},
            description="What is said then, in turn. Those of the language if empty.",
        ),
        AfterValidator(_distinct),
    ] = []
    language_hint: Language | None = None
    knowledge_search_instructions: Annotated[
        Annotated[Text, Field(max_length=2000)] | None,
        Field(
            description="When to look into the knowledge bases, told to the model with a tool "
            "`search_knowledge`; null looks something up for each turn of the caller."
        ),
    ] = None
    background_sound_id: UUID | None = None
    background_sound_volume: Share = 0.15
    hold_message: Annotated[
        Annotated[Text, Field(max_length=500)] | None,
        Field(
            description="Spoken to a caller before they are put on hold for a transfer; a template."
        ),
    ] = None
    hold_music_url: Annotated[
        Annotated[Url, Field(max_length=500)] | None,
        Field(
            description="Played to a caller on hold: WAV, MP3, FLAC or Ogg Vorbis, at most 8 MB; "
            "without it, or if it cannot be had, Chorus's own music."
        ),
    ] = None
    tool_ids: UniqueIds = []
    knowledge_base_ids: Annotated[
        UniqueIds,
        Field(description="What the agent answers from."),
    ] = []
    answering: Annotated[
        Answering | None,
        Field(
            description="What to do about who answers a call that was placed. Null: nobody listens "
            "for it, and what answers is talked to."
        ),
    ] = None
    transfer_targets: Annotated[
        list[TransferTarget],
        Field(
            max_length=50,
            description="To whom the agent may transfer a call, with its tool `transfer_to`.",
        ),
        AfterValidator(unique_targets),
    ] = []
    post_call_webhook_secret: Annotated[
        Text | None,
        Field(min_length=1, max_length=512, description="Signs the webhook. Never returned."),
    ] = None


if TYPE_CHECKING:
    AgentPatch = AgentCreate
else:
    AgentPatch = patch_of(AgentCreate, "AgentPatch")


class AgentOut(Out):
    id: UUID
    version: Annotated[
        int,
        Field(description="Which of its versions it is at: see `GET /v1/agents/{id}/versions`."),
    ]
    name: str
    system_prompt: str
    slm_model_id: UUID | None
    model_options: ModelOptions | None
    voice_id: UUID | None
    transcriber_id: UUID | None
    slm_model_fallback_ids: list[UUID]
    voice_fallback_ids: list[UUID]
    transcriber_fallback_ids: list[UUID]
    languages: list[str]
    keyterms: list[str]
    pronunciations: list[Pronunciation]
    voice_speed: float
    voice_stability: float
    turn_endpoint_delay: int | None
    min_turn_duration: int | None
    min_interruption_duration: int | None
    frame_activation_threshold: float | None
    post_speech_cooldown: int | None
    ultravad_eot_threshold: float | None
    speculative_silence_ms: int | None
    fallback_silence_ms: int | None
    allow_end_call: bool
    allow_press_keys: bool
    key_inputs: list[KeyInput]
    is_active: bool
    post_call_summary_enabled: bool
    post_call_extraction_schema: list[ExtractionField] | dict[str, Any]
    post_call_webhook_url: str | None
    has_post_call_webhook_secret: bool
    first_speaker: Literal["user", "agent"]
    agent_greeting: str | None
    agent_greeting_enabled: bool
    first_message_uninterruptible: bool
    first_message_delay: int
    max_call_duration_seconds: int
    silence_timeout_seconds: int | None
    silence_reminders: int
    latency_target_ms: int | None
    hedging: Hedging | None
    filler_after_ms: int | None
    fillers: list[str]
    language_hint: str | None
    knowledge_search_instructions: str | None
    background_sound_id: UUID | None
    background_sound_volume: float
    hold_message: str | None
    hold_music_url: str | None
    tool_ids: list[UUID]
    knowledge_base_ids: list[UUID]
    answering: Answering | None
    transfer_targets: list[TransferTarget]
    created_at: Time
    updated_at: Time
