"""An agent's options of its language model

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("model_options", Json, nullable=True))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
