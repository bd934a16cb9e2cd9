"""Telling callers that somebody listens, and where each process takes audio

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "organizations",
        sa.Column("supervision_tone", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("organizations", sa.Column("supervision_announcement", sa.Text(), nullable=True))
    op.add_column("executors", sa.Column("media_url", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
