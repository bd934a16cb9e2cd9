"""Members, sessions, attempts to log in, the audit log; limits and suspension of organizations

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _choice(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def _of_organization(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"],
        ["organizations.id"],
        name=f"fk_{table}_organization_id",
        ondelete="CASCADE",
    )


def upgrade() -> None:
    for name in ("rate_limit_per_minute", "concurrent_calls_ceiling", "rate_limit_ceiling"):
        op.add_column("organizations", sa.Column(name, sa.Integer()))
    op.add_column("organizations", sa.Column("suspended_at", UtcDateTime()))
    # Answers are encrypted from now on, and kept for a day only.
    op.execute("DELETE FROM idempotent_requests")
    op.create_table(
        "members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=255)),
        sa.Column(
            "role", _choice("viewer", "developer", "admin", "owner", name="role"), nullable=False
        ),
        sa.Column("password_hash", sa.String(length=255)),
        sa.Column("invitation_hash", sa.String(length=64)),
        sa.Column("invitation_expires_at", UtcDateTime()),
        sa.Column("last_login_at", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _of_organization("members"),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.UniqueConstraint("invitation_hash", name="uq_members_invitation_hash"),
        sa.UniqueConstraint("organization_id", "email", name="uq_members_organization_id_email"),
    )
    op.create_index("ix_members_email", "members", ["email"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _of_organization("sessions"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_sessions_member_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
    )
    op.create_index("ix_sessions_member_id", "sessions", ["member_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "login_attempts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("blocked_until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_last_at", "login_attempts", ["last_at"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("actor", _choice("key", "member", "operator", name="actor"), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("actor_name", sa.String(length=300), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.Uuid()),
        sa.Column("fields", Json, nullable=False),
        sa.Column("detail", Json),
        sa.Column("request_id", sa.String(length=64)),
        sa.Column("address", sa.String(length=64)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _of_organization("audit_log"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index(
        "ix_audit_log_organization_id_created_at", "audit_log", ["organization_id", "created_at"]
    )
    op.create_index(
        "ix_audit_log_organization_id_resource_id_created_at",
        "audit_log",
        ["organization_id", "resource_id", "created_at"],
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
