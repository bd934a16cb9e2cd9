"""Where processes of other machines pass on what belongs to a process's calls

Revision ID: 0047
Revises: 0046
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0047"
down_revision: str | None = "0046"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("executors", sa.Column("peer_address", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
