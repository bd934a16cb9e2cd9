"""The seal of the secret key, and webhook deliveries whose text was deleted

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.accounts.encrypted import Encrypted

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "seals",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sentence", Encrypted(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_seals"),
    )
    op.add_column(
        "webhook_deliveries", sa.Column("body_sha256", sa.String(length=64), nullable=True)
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
