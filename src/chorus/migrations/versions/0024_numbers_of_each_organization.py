"""A phone number is unique in its organization, not over the whole server

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("phone_numbers") as table:
        table.drop_constraint(op.f("uq_phone_numbers_provider_number"), type_="unique")
        table.create_unique_constraint(
            op.f("uq_phone_numbers_organization_id_provider_number"),
            ["organization_id", "provider", "number"],
        )
    op.create_index(
        op.f("ix_phone_numbers_provider_number"), "phone_numbers", ["provider", "number"]
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
