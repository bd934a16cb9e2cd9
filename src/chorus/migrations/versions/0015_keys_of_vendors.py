"""Keys of vendors: what organizations hear, think and speak with

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.accounts.encrypted import Encrypted
from chorus.db import Json, UtcDateTime

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "provider_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("slot", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("secret", Encrypted(), nullable=False),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("models", Json, nullable=False),
        sa.Column("rotated_at", UtcDateTime(), nullable=True),
        sa.Column("tested", Json, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_provider_keys_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_keys")),
        sa.UniqueConstraint(
            "organization_id",
            "provider",
            "slot",
            name=op.f("uq_provider_keys_organization_id_provider_slot"),
        ),
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
