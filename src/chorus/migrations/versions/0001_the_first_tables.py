"""The first tables

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("slm_model_id", sa.Uuid(), nullable=True),
        sa.Column("voice_id", sa.Uuid(), nullable=True),
        sa.Column("voice_speed", sa.Double[float](), nullable=False),
        sa.Column("voice_stability", sa.Double[float](), nullable=False),
        sa.Column("turn_endpoint_delay", sa.Integer(), nullable=True),
        sa.Column("min_turn_duration", sa.Integer(), nullable=True),
        sa.Column("min_interruption_duration", sa.Integer(), nullable=True),
        sa.Column("frame_activation_threshold", sa.Double[float](), nullable=True),
        sa.Column("post_speech_cooldown", sa.Integer(), nullable=True),
        sa.Column("ultravad_eot_threshold", sa.Double[float](), nullable=True),
        sa.Column("speculative_silence_ms", sa.Integer(), nullable=True),
        sa.Column("fallback_silence_ms", sa.Integer(), nullable=True),
        sa.Column("allow_end_call", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("post_call_summary_enabled", sa.Boolean(), nullable=False),
        sa.Column("post_call_extraction_schema", Json, nullable=False),
        sa.Column("post_call_webhook_url", sa.Text(), nullable=True),
        sa.Column("post_call_webhook_secret", sa.Text(), nullable=True),
        sa.Column(
            "first_speaker",
            sa.Enum(
                "user",
                "agent",
                name="first_speaker",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("agent_greeting", sa.Text(), nullable=True),
        sa.Column("agent_greeting_enabled", sa.Boolean(), nullable=False),
        sa.Column("first_message_uninterruptible", sa.Boolean(), nullable=False),
        sa.Column("first_message_delay", sa.Integer(), nullable=False),
        sa.Column("max_call_duration_seconds", sa.Integer(), nullable=False),
        sa.Column("language_hint", sa.String(length=10), nullable=True),
        sa.Column("knowledge_search_instructions", sa.Text(), nullable=True),
        sa.Column("background_sound_id", sa.Uuid(), nullable=True),
        sa.Column("background_sound_volume", sa.Double[float](), nullable=False),
        sa.Column("hold_message", sa.Text(), nullable=True),
        sa.Column("hold_music_url", sa.Text(), nullable=True),
        sa.Column("knowledge_base_ids", Json, nullable=False),
        sa.Column("transfer_targets", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_agents_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
    )
    op.create_index(
        "ix_agents_organization_id_created_at",
        "agents",
        ["organization_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=32), nullable=False),
        sa.Column("scopes", Json, nullable=True),
        sa.Column("rate_limit_per_minute", sa.Integer(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_api_keys_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
    )
    op.create_index(
        "ix_api_keys_organization_id_created_at",
        "api_keys",
        ["organization_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("phone_number_id", sa.Uuid(), nullable=True),
        sa.Column("call_sid", sa.String(length=255), nullable=True),
        sa.Column(
            "provider",
            sa.Enum(
                "twilio",
                "sip",
                "voximplant",
                "jambonz",
                "browser",
                name="provider",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "direction",
            sa.Enum(
                "inbound",
                "outbound",
                name="direction",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "ringing",
                "in_progress",
                "completed",
                "failed",
                "no_answer",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("customer_number", sa.String(length=64), nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("recording_path", sa.Text(), nullable=True),
        sa.Column("turn_count", sa.Integer(), nullable=False),
        sa.Column("transcript", Json, nullable=True),
        sa.Column("analysis", Json, nullable=True),
        sa.Column("timeline", Json, nullable=True),
        sa.Column("ended_reason", sa.String(length=64), nullable=True),
        sa.Column("context_variables", Json, nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("parent_call_id", sa.Uuid(), nullable=True),
        sa.Column(
            "transfer_type",
            sa.Enum(
                "cold",
                "warm",
                "warm_briefing",
                name="transfer_type",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "transfer_status",
            sa.Enum(
                "initiated",
                "ringing",
                "briefing",
                "connected",
                "completed",
                "failed",
                "declined",
                "no_answer",
                "cancelled",
                name="transfer_status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("dialled_at", UtcDateTime(), nullable=True),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_calls_organization_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["parent_call_id"], ["calls.id"], name="fk_calls_parent_call_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
        sa.UniqueConstraint("token_hash", name="uq_calls_token_hash"),
    )
    op.create_index(
        "ix_calls_live",
        "calls",
        ["status"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_calls_organization_id_agent_id_created_at",
        "calls",
        ["organization_id", "agent_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_calls_organization_id_created_at",
        "calls",
        ["organization_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_calls_organization_id_phone_number_id_created_at",
        "calls",
        ["organization_id", "phone_number_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_calls_organization_id_status_created_at",
        "calls",
        ["organization_id", "status", "created_at"],
        unique=False,
    )
    op.create_index("ix_calls_parent_call_id", "calls", ["parent_call_id"], unique=False)
    op.create_index("ix_calls_provider_call_sid", "calls", ["provider", "call_sid"], unique=False)
    op.create_table(
        "idempotent_requests",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("claim", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_idempotent_requests_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "path", "key", name="pk_idempotent_requests"),
    )
    op.create_index(
        "ix_idempotent_requests_created_at", "idempotent_requests", ["created_at"], unique=False
    )
    op.create_table(
        "tools",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column(
            "type",
            sa.Enum("http", name="type", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("config", Json, nullable=False),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_tools_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tools"),
    )
    op.create_index(
        "ix_tools_organization_id_created_at",
        "tools",
        ["organization_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "agent_tools",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("tool_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name="fk_agent_tools_agent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["tools.id"], name="fk_agent_tools_tool_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("agent_id", "tool_id", name="pk_agent_tools"),
    )
    op.create_index("ix_agent_tools_tool_id", "agent_tools", ["tool_id"], unique=False)
    op.create_table(
        "call_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("data", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name="fk_call_events_call_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_call_events_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_call_events"),
        sa.UniqueConstraint("call_id", "seq", name="uq_call_events_call_id_seq"),
    )
    op.create_table(
        "phone_numbers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column(
            "provider",
            sa.Enum(
                "twilio",
                "sip",
                "voximplant",
                "jambonz",
                name="provider",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("connection", Json, nullable=False),
        sa.Column("credentials", sa.Text(), nullable=True),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name="fk_phone_numbers_agent_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_phone_numbers_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_phone_numbers"),
        sa.UniqueConstraint("provider", "number", name="uq_phone_numbers_provider_number"),
    )
    op.create_index("ix_phone_numbers_agent_id", "phone_numbers", ["agent_id"], unique=False)
    op.create_index(
        "ix_phone_numbers_organization_id_created_at",
        "phone_numbers",
        ["organization_id", "created_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("phone_numbers")
    op.drop_table("call_events")
    op.drop_table("agent_tools")
    op.drop_table("tools")
    op.drop_table("idempotent_requests")
    op.drop_table("calls")
    op.drop_table("api_keys")
    op.drop_table("agents")
    op.drop_table("organizations")
