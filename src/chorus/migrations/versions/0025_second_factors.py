"""A second factor of members

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("members", sa.Column("second_factor_secret", sa.Text(), nullable=True))
    op.add_column("members", sa.Column("second_factor_at", UtcDateTime(), nullable=True))
    op.add_column(
        "members",
        sa.Column(
            "second_factor_step", sa.BigInteger(), nullable=False, server_default=sa.text("0")
        ),
    )
    op.add_column("members", sa.Column("recovery_hashes", Json, nullable=True))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
