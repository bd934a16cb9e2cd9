"""Requests of a minute, counted over all processes

Revision ID: 0035
Revises: 0034
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "rate_counts",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_rate_counts"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # What was asked in the last two minutes may be forgotten, and is written often.
        op.execute("ALTER TABLE rate_counts SET UNLOGGED")


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
