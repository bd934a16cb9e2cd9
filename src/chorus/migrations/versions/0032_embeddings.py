"""Which model makes a base's vectors, and what a document's cost

Revision ID: 0032
Revises: 0031
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("knowledge_bases", sa.Column("embedding_model", sa.String(100), nullable=True))
    op.add_column(
        "knowledge_documents", sa.Column("embedding_dimensions", sa.Integer(), nullable=True)
    )
    op.add_column(
        "knowledge_documents",
        sa.Column("embedding_tokens", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
