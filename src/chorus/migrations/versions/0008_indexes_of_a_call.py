"""Indexes by which a call's legs, ledger lines and deliveries are found

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_index("ix_calls_parent_call_id", table_name="calls")
    op.create_index(
        "ix_calls_legs",
        "calls",
        ["parent_call_id", "organization_id"],
        sqlite_where=sa.text("parent_call_id IS NOT NULL"),
        postgresql_where=sa.text("parent_call_id IS NOT NULL"),
    )
    for table in ("ledger_lines", "webhook_deliveries"):
        op.create_index(
            f"ix_{table}_organization_id_call_id_created_at",
            table,
            ["organization_id", "call_id", "created_at"],
        )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
