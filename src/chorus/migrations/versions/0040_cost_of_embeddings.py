"""What vectors of documents cost

Revision ID: 0040
Revises: 0039
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0040"
down_revision: str | None = "0039"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    for table in ("knowledge_bases", "knowledge_documents"):
        op.add_column(
            table,
            sa.Column(
                "embedding_cost_micros",
                sa.BigInteger(),
                nullable=False,
                server_default=sa.text("0"),
            ),
        )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
