"""Transfers of calls to people

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime, choice

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TYPES = ("cold", "warm", "warm_briefing")
_STATUSES = (
    *("initiated", "ringing", "briefing", "connected", "completed"),
    *("failed", "declined", "no_answer", "cancelled"),
)


def upgrade() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("leg_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("type", choice(*_TYPES, name="type"), nullable=False),
        sa.Column("by", choice("agent", "api", name="by"), nullable=False),
        sa.Column("status", choice(*_STATUSES, name="status"), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("connected_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_transfers_organization_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name="fk_transfers_call_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["leg_id"], ["calls.id"], name="fk_transfers_leg_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
    )
    op.create_index("ix_transfers_call_id_created_at", "transfers", ["call_id", "created_at"])
    op.create_index("ix_transfers_leg_id", "transfers", ["leg_id"])
    op.create_index("ix_transfers_organization_id", "transfers", ["organization_id"])


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
