"""Tokens with which pages of other sites begin calls

Revision ID: 0037
Revises: 0036
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TOKENS, CALLS = "publishable_tokens", "publishable_calls"


def upgrade() -> None:
    op.create_table(
        TOKENS,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("origins", Json, nullable=False),
        sa.Column("context_variables", Json, nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                *("max_calls", "max_calls_per_hour", "max_calls_per_address"),
                "max_call_seconds",
            )
        ),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _belongs(TOKENS, "organization_id", "organizations"),
        _belongs(TOKENS, "agent_id", "agents"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{TOKENS}"),
        sa.UniqueConstraint("token", name=f"uq_{TOKENS}_token"),
    )
    _index(TOKENS, "organization_id", "created_at", "id")
    _index(TOKENS, "agent_id")
    op.create_table(
        CALLS,
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _belongs(CALLS, "call_id", "calls"),
        _belongs(CALLS, "organization_id", "organizations"),
        _belongs(CALLS, "token_id", TOKENS),
        sa.PrimaryKeyConstraint("call_id", name=f"pk_{CALLS}"),
    )
    _index(CALLS, "token_id", "created_at")
    _index(CALLS, "organization_id")


def _belongs(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}"
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete="CASCADE")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
