"""How documents of knowledge bases were read, time by time

Revision ID: 0045
Revises: 0044
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime, choice

revision: str = "0045"
down_revision: str | None = "0044"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ZERO = sa.text("0")


def upgrade() -> None:
    op.create_table(
        "knowledge_readings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("knowledge_base_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            choice("waiting", "ready", "failed", "replaced", name="status"),
            nullable=False,
        ),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("chunk_count", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("characters", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.Column("embedding_model", sa.String(100), nullable=True),
        sa.Column("embedding_tokens", sa.BigInteger(), server_default=_ZERO, nullable=False),
        sa.Column("embedding_cost_micros", sa.BigInteger(), server_default=_ZERO, nullable=False),
        sa.Column("tokens_before", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros_before", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_knowledge_readings_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["knowledge_base_id"],
            ["knowledge_bases.id"],
            name=op.f("fk_knowledge_readings_knowledge_base_id_knowledge_bases"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["knowledge_documents.id"],
            name=op.f("fk_knowledge_readings_document_id_knowledge_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_readings")),
    )
    for columns in (
        ("knowledge_base_id", "created_at", "id"),
        ("document_id", "created_at", "id"),
        ("organization_id",),
    ):
        name = op.f(f"ix_knowledge_readings_{'_'.join(columns)}")
        op.create_index(name, "knowledge_readings", list(columns))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
