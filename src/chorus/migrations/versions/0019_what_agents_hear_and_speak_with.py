"""What agents choose to hear and speak with, what stands in, and what vendors offer

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LISTS = (
    "transcriber_fallback_ids",
    "slm_model_fallback_ids",
    "voice_fallback_ids",
    "languages",
    "keyterms",
    "pronunciations",
)


def upgrade() -> None:
    op.add_column("agents", sa.Column("transcriber_id", sa.Uuid(), nullable=True))
    for name in _LISTS:
        op.add_column(
            "agents", sa.Column(name, Json, nullable=False, server_default=sa.text("'[]'"))
        )
    op.create_table(
        "vendor_lists",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("provider_key_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("voices", Json, nullable=False),
        sa.Column("models", Json, nullable=False),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_vendor_lists_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["provider_key_id"],
            ["provider_keys.id"],
            name=op.f("fk_vendor_lists_provider_key_id_provider_keys"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vendor_lists")),
        sa.UniqueConstraint("provider_key_id", name=op.f("uq_vendor_lists_provider_key_id")),
    )
    op.create_index(op.f("ix_vendor_lists_organization_id"), "vendor_lists", ["organization_id"])


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
