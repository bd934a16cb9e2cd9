"""What is kept of a call: settled recordings, deletions, and how long an organization keeps them

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    for column in ("recording_settled_at", "recording_deleted_at", "transcript_deleted_at"):
        op.add_column("calls", sa.Column(column, UtcDateTime()))
    for column in ("recording_retention_days", "transcript_retention_days"):
        op.add_column("organizations", sa.Column(column, sa.Integer()))
    for name, columns, still in (
        ("ix_calls_unsettled", ["id"], "recording_settled_at"),
        ("ix_calls_with_sound", ["organization_id", "ended_at"], "recording_deleted_at"),
        ("ix_calls_with_texts", ["organization_id", "ended_at"], "transcript_deleted_at"),
    ):
        where = sa.text(f"{still} IS NULL")
        op.create_index(name, "calls", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
