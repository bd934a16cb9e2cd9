"""How long callers may wait for an agent's answers, and how often it keeps to that

Revision ID: 0036
Revises: 0035
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime

revision: str = "0036"
down_revision: str | None = "0035"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("latency_target_ms", sa.Integer(), nullable=True))
    op.create_table(
        "latency_windows",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("start", UtcDateTime(), nullable=False),
        sa.Column("target_ms", sa.Integer(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("within", sa.Integer(), nullable=False),
        sa.Column("breached", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_latency_windows_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "agent_id", "start", name=op.f("pk_latency_windows")
        ),
    )
    op.create_index(
        op.f("ix_latency_windows_organization_id_start"),
        "latency_windows",
        ["organization_id", "start"],
    )
    op.create_index(
        "ix_latency_windows_unjudged",
        "latency_windows",
        ["start"],
        sqlite_where=sa.text("breached IS NULL"),
        postgresql_where=sa.text("breached IS NULL"),
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
