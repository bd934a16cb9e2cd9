"""Tables of agents, of which tools each may use, and of what each was before."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Json, Tenant, choice
from chorus.in_use import uses

_NONE = sa.text("'[]'")


class Agent(Tenant, Base):
    """`version` is the number of the `AgentVersion` that it is at."""

    __tablename__ = "agents"

    version: Mapped[int] = mapped_column(default=1, server_default=sa.text("1"))
    name: Mapped[str] = mapped_column(sa.String(255))
    system_prompt: Mapped[str] = mapped_column(sa.Text)
    slm_model_id: Mapped[uuid.UUID | None]
    model_options: Mapped[dict[str, Any] | None] = mapped_column(Json)
    voice_id: Mapped[uuid.UUID | None]
    transcriber_id: Mapped[uuid.UUID | None]
    slm_model_fallback_ids: Mapped[list[str]] = mapped_column(Json, server_default=_NONE)
    voice_fallback_ids: Mapped[list[str]] = mapped_column(Json, server_default=_NONE)
    transcriber_fallback_ids: Mapped[list[str]] = mapped_column(Json, server_default=_NONE)
    languages: Mapped[list[str]] = mapped_column(Json, server_default=_NONE)
    keyterms: Mapped[list[str]] = mapped_column(Json, server_default=_NONE)
    pronunciations: Mapped[list[dict[str, str]]] = mapped_column(Json, server_default=_NONE)
    voice_speed: Mapped[float]
    voice_stability: Mapped[float]
    turn_endpoint_delay: Mapped[int | None]
    min_turn_duration: Mapped[int | None]
    min_interruption_duration: Mapped[int | None]
    frame_activation_threshold: Mapped[float | None]
    post_speech_cooldown: Mapped[int | None]
    ultravad_eot_threshold: Mapped[float | None]
    speculative_silence_ms: Mapped[int | None]
    fallback_silence_ms: Mapped[int | None]
    allow_end_call: Mapped[bool]
    allow_press_keys: Mapped[bool] = mapped_column(server_default=sa.false())
    key_inputs: Mapped[list[dict[str, Any]]] = mapped_column(Json, server_default=_NONE)
    is_active: Mapped[bool]
    post_call_summary_enabled: Mapped[bool]
    post_call_extraction_schema: Mapped[list[dict[str, Any]] | dict[str, Any]] = mapped_column(Json)
    post_call_webhook_url: Mapped[str | None] = mapped_column(sa.Text)
    post_call_webhook_secret: Mapped[str | None] = mapped_column(Encrypted)
    first_speaker: Mapped[str] = mapped_column(choice("user", "agent", name="first_speaker"))
    agent_greeting: Mapped[str | None] = mapped_column(sa.Text)
    agent_greeting_enabled: Mapped[bool]
    first_message_uninterruptible: Mapped[bool]
    first_message_delay: Mapped[int]
    max_call_duration_seconds: Mapped[int]
    silence_timeout_seconds: Mapped[int | None] = mapped_column(server_default=sa.text("30"))
    silence_reminders: Mapped[int] = mapped_column(server_default=sa.text("2"))
    latency_target_ms: Mapped[int | None]
    hedging: Mapped[str | None] = mapped_column(sa.String(8))
    filler_after_ms: Mapped[int | None]
    fillers: Mapped[list[str]] = mapped_column(Json, server_default=_NONE)
    language_hint: Mapped[str | None] = mapped_column(sa.String(10))
    knowledge_search_instructions: Mapped[str | None] = mapped_column(sa.Text)
    background_sound_id: Mapped[uuid.UUID | None]
    background_sound_volume: Mapped[float]
    hold_message: Mapped[str | None] = mapped_column(sa.Text)
    hold_music_url: Mapped[str | None] = mapped_column(sa.Text)
    knowledge_base_ids: Mapped[list[str]] = mapped_column(Json)
    answering: Mapped[dict[str, Any] | None] = mapped_column(Json)
    transfer_targets: Mapped[list[dict[str, Any]]] = mapped_column(Json)

    __table_args__ = (sa.Index(None, "organization_id", "created_at", "id"),)


class AgentTool(Base):
    """An agent may use a tool; `position` keeps the order in which they were given. A tool that
    is used cannot be deleted: the database refuses."""

    __tablename__ = "agent_tools"

    agent_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True
    )
    tool_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid,
        sa.ForeignKey("tools.id", ondelete="RESTRICT"),
        primary_key=True,
        index=True,
        info=uses("tools", noun="agent", through="agent_id"),
    )
    position: Mapped[int]


class AgentVersion(Tenant, Base):
    """What an agent was from one change to the next; `versions.py` says what is kept of it."""

    __tablename__ = "agent_versions"

    agent_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("agents.id", ondelete="CASCADE")
    )
    number: Mapped[int]
    name: Mapped[str | None] = mapped_column(sa.String(255))
    note: Mapped[str | None] = mapped_column(sa.Text)
    author_kind: Mapped[str | None] = mapped_column(sa.String(16))
    author: Mapped[str | None] = mapped_column(sa.String(255))
    restored_from: Mapped[int | None]
    settings: Mapped[dict[str, Any]] = mapped_column(Json)

    __table_args__ = (
        sa.UniqueConstraint("agent_id", "number"),
        sa.Index(None, "agent_id", "created_at", "id"),
        sa.Index(None, "organization_id"),
    )


class AgentDraft(Tenant, Base):
    """Changes to an agent that do not count yet. `changes` are by the API's names, and nothing of
    them was checked; `base` is the version that they were begun with."""

    __tablename__ = "agent_drafts"

    agent_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("agents.id", ondelete="CASCADE"), unique=True
    )
    changes: Mapped[dict[str, Any]] = mapped_column(Json)
    base: Mapped[int]
    author_kind: Mapped[str | None] = mapped_column(sa.String(16))
    author: Mapped[str | None] = mapped_column(sa.String(255))

    __table_args__ = (sa.Index(None, "organization_id"),)
