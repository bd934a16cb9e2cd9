"""Tables of calls and of what happened in them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Json, Tenant, UtcDateTime, choice, utcnow
from chorus.in_use import uses

STATUSES = ("queued", "ringing", "in_progress", "completed", "failed", "no_answer")
DIRECTIONS = ("inbound", "outbound")
ALL_AGENTS = uuid.UUID(int=0)
_FILTERS = ("agent_id", "phone_number_id", "status", "ended_reason", "direction")
TRANSFER_TYPES = ("cold", "warm", "warm_briefing")
TRANSFER_STATUSES = (
    "initiated",
    "ringing",
    "briefing",
    "connected",
    "completed",
    "failed",
    "declined",
    "no_answer",
    "cancelled",
)


class CallRow(Tenant, Base):
    """One call, from the wish to place it or its arrival to what came of it.

    `agent_id` and `phone_number_id` are no foreign keys: history outlives what it names. Until the
    call is over, neither can be deleted.
    `dialled_at` is the fence: set before the carrier is asked to ring, so that a call which may
    have rung is never dialled twice. `token_hash` is the SHA-256 of the secret that the carrier's
    audio stream must present. `lease_owner` is the executor (`durable/heartbeat.py`)
    that holds the call; where it rings, the one that dialled or announced it.
    `recording_path` is the recording's key in the store; `kept.py` says what becomes of it.
    `agent_changes` are those of the agent that count for this call alone (`browser.py`), as the API
    has them, until the call is over. `agent_version` is the number of the version that it was held
    with; null before, and with such changes.
    `forward_token` is `InboundCall.forward_token`, until the call is over.
    `answered_by` is what was heard of who answered: {"who", "confidence", "atMs"}.
    `timeline` is the summary that the call leaves: {"turns": [latencies of each turn],
    "failures": [{"vendor", "stage", "count"}], ...}.
    """

    __tablename__ = "calls"

    agent_id: Mapped[uuid.UUID] = mapped_column(
        info=uses("agents", noun="call to", name="customer_number", until="ended_at")
    )
    phone_number_id: Mapped[uuid.UUID | None] = mapped_column(
        info=uses("phone_numbers", noun="call to", name="customer_number", until="ended_at")
    )
    call_sid: Mapped[str | None] = mapped_column(sa.String(255))
    provider: Mapped[str] = mapped_column(sa.String(32))
    direction: Mapped[str] = mapped_column(choice(*DIRECTIONS, name="direction"))
    status: Mapped[str] = mapped_column(choice(*STATUSES, name="status"), default="queued")
    customer_number: Mapped[str] = mapped_column(sa.String(64))
    duration_seconds: Mapped[int | None]
    cost_micros: Mapped[int | None] = mapped_column(sa.BigInteger)
    recording_path: Mapped[str | None] = mapped_column(sa.Text)
    turn_count: Mapped[int] = mapped_column(default=0)
    transcript: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    analysis: Mapped[dict[str, Any] | None] = mapped_column(Json)
    timeline: Mapped[dict[str, Any] | None] = mapped_column(Json)
    ended_reason: Mapped[str | None] = mapped_column(sa.String(64))
    ended_detail: Mapped[str | None] = mapped_column(sa.Text)
    context_variables: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", Json, default=dict)
    agent_changes: Mapped[dict[str, Any] | None] = mapped_column(Json)
    agent_version: Mapped[int | None]
    parent_call_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="SET NULL")
    )
    transfer_type: Mapped[str | None] = mapped_column(choice(*TRANSFER_TYPES, name="transfer_type"))
    transfer_status: Mapped[str | None] = mapped_column(
        choice(*TRANSFER_STATUSES, name="transfer_status")
    )
    token_hash: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    forward_token: Mapped[str | None] = mapped_column(Encrypted)
    lease_owner: Mapped[str | None] = mapped_column(sa.String(128))
    scheduled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    detect_machine: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    answered_by: Mapped[dict[str, Any] | None] = mapped_column(Json)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    dialled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    recording_settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    recording_deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    transcript_deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        # Lists, each index ending in their order (`lists.py`). Behind that come the other filters:
        # so those that combine are decided in the index, and what finds nothing reads no row. The
        # direction's has none: a planner that knows nothing is to take any other, since by this one
        # it reads half of all calls.
        sa.Index("ix_calls_newest", "organization_id", "created_at", "id"),
        *(
            sa.Index(
                f"ix_calls_of_{column.removesuffix('_id')}",
                *("organization_id", column, "created_at", "id"),
                *(other for other in _FILTERS if other != column),
            )
            for column in _FILTERS
            if column != "direction"
        ),
        sa.Index("ix_calls_of_direction", "organization_id", "direction", "created_at", "id"),
        # With all three in it, no planner takes one that leads to all that the organization has.
        sa.Index(None, "provider", "call_sid", "organization_id"),
        # Legs of transfers. Partial: with a null for nearly every call a planner that counts
        # thinks the index useless, and reads all calls of the organization instead.
        sa.Index(
            "ix_calls_legs",
            "parent_call_id",
            "organization_id",
            sqlite_where=sa.text("parent_call_id IS NOT NULL"),
            postgresql_where=sa.text("parent_call_id IS NOT NULL"),
        ),
        # Those that are not over, for capacity and for whoever looks after lost calls.
        sa.Index(
            "ix_calls_live",
            "status",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        sa.Index(
            "ix_calls_room",
            "organization_id",
            "ended_at",  # null in all; by it SQLite sees that this one fits best
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        # Whose recording has to be stored or erased, and what retention has not looked at yet.
        sa.Index(
            "ix_calls_unsettled",
            "id",
            sqlite_where=sa.text("recording_settled_at IS NULL"),
            postgresql_where=sa.text("recording_settled_at IS NULL"),
        ),
        sa.Index(
            "ix_calls_with_sound",
            "organization_id",
            "ended_at",
            sqlite_where=sa.text("recording_deleted_at IS NULL"),
            postgresql_where=sa.text("recording_deleted_at IS NULL"),
        ),
        sa.Index(
            "ix_calls_with_texts",
            "organization_id",
            "ended_at",
            sqlite_where=sa.text("transcript_deleted_at IS NULL"),
            postgresql_where=sa.text("transcript_deleted_at IS NULL"),
        ),
    )


class Transfer(Tenant, Base):
    """One try to hand a call's caller to a person, by the process that holds the call.

    `leg_id` is the second call, with the person; null until there is one, and where the carrier
    connects the two by itself. `name` and `number` are as the target was then. `detail` may hold
    what the person said, and goes with the call's texts.
    """

    __tablename__ = "transfers"

    call_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="CASCADE")
    )
    leg_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="SET NULL")
    )
    name: Mapped[str] = mapped_column(sa.String(255))
    number: Mapped[str] = mapped_column(sa.String(64))
    type: Mapped[str] = mapped_column(choice(*TRANSFER_TYPES, name="type"))
    by: Mapped[str] = mapped_column(choice("agent", "api", name="by"))
    status: Mapped[str] = mapped_column(choice(*TRANSFER_STATUSES, name="status"))
    detail: Mapped[str | None] = mapped_column(sa.Text)
    connected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.Index(None, "call_id", "created_at"),
        sa.Index(None, "leg_id"),
        sa.Index(None, "organization_id"),
    )


class CallEvent(Base):
    """One thing that happened in a call; `at_ms` counts from when it was answered."""

    __tablename__ = "call_events"

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True
    )
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    call_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="CASCADE")
    )
    seq: Mapped[int]
    at_ms: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(64))
    data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    __table_args__ = (sa.UniqueConstraint("call_id", "seq"),)


class CallHour(Base):
    """How many calls that are over were created in an hour, and how they ended. Kept by triggers
    (migration 0030), so that it is always what the calls themselves would say. `agent_id` is
    `ALL_AGENTS` for all of them together; `reason` is empty where a call has none."""

    __tablename__ = "call_hours"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    agent_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    status: Mapped[str] = mapped_column(choice(*STATUSES, name="status"), primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    calls: Mapped[int] = mapped_column(sa.BigInteger)
    seconds: Mapped[int] = mapped_column(sa.BigInteger)
    cost_micros: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = ({"sqlite_with_rowid": False},)


class LatencyWindow(Base):
    """How many answers of an agent came within its target, of those that were heard from `start`
    on for a quarter of an hour (`latency.py`). `target_ms` is the latest that counted there.
    `breached` is null until the window was judged."""

    __tablename__ = "latency_windows"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    agent_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    target_ms: Mapped[int]
    turns: Mapped[int]
    within: Mapped[int]
    breached: Mapped[bool | None]

    __table_args__ = (
        sa.Index(None, "organization_id", "start"),
        sa.Index(
            "ix_latency_windows_unjudged",
            "start",
            sqlite_where=sa.text("breached IS NULL"),
            postgresql_where=sa.text("breached IS NULL"),
        ),
    )


class CallCommand(Base):
    """What the process that holds the call is to do, asked of another (`live.py`). It deletes the
    row first, so the table is nearly always empty."""

    __tablename__ = "call_commands"

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True
    )
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    call_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="CASCADE")
    )
    verb: Mapped[str] = mapped_column(sa.String(32))
    text: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
