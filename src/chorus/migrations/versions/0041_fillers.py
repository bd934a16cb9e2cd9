"""What an agent says while its answer is not there

Revision ID: 0041
Revises: 0040
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json

revision: str = "0041"
down_revision: str | None = "0040"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("filler_after_ms", sa.Integer(), nullable=True))
    none = sa.text("'[]'")
    op.add_column("agents", sa.Column("fillers", Json, server_default=none, nullable=False))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
