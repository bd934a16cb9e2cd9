"""An index that leads to an organization's call by its leg: without statistics SQLite took one
that leads to all calls of the organization

Revision ID: 0050
Revises: 0049
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0050"
down_revision: str | None = "0049"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_calls_provider_call_sid_organization_id",
        "calls",
        ["provider", "call_sid", "organization_id"],
    )
    op.drop_index("ix_calls_provider_call_sid", "calls")


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
