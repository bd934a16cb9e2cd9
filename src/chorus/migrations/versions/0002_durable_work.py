"""Durable work: processes, who holds a call, when it is due, how many there may be

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UNFINISHED = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "executors",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("incarnation", sa.Uuid(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_executors"),
    )
    op.add_column("organizations", sa.Column("max_concurrent_calls", sa.Integer()))
    op.add_column(
        "organizations",
        sa.Column("max_queued_calls", sa.Integer(), nullable=False, server_default=sa.text("0")),
    )
    op.add_column("calls", sa.Column("lease_owner", sa.String(length=128)))
    op.add_column("calls", sa.Column("scheduled_at", UtcDateTime()))
    op.create_index(
        "ix_calls_room",
        "calls",
        ["organization_id"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
