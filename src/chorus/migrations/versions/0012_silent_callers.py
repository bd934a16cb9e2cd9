"""After how much silence a caller is asked whether they are still there

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("silence_timeout_seconds", sa.Integer(), server_default="30"))
    op.add_column(
        "agents",
        sa.Column("silence_reminders", sa.Integer(), nullable=False, server_default="2"),
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
