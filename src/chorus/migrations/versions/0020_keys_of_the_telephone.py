"""Keys that agents press and have callers enter

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "agents",
        sa.Column("allow_press_keys", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "agents", sa.Column("key_inputs", Json, nullable=False, server_default=sa.text("'[]'"))
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
