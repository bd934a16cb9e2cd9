"""Changes to an agent that count for one call

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("agent_changes", Json, nullable=True))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
