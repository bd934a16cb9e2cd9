"""Indexes that end in the order of the lists, and those of their filters

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_PLACE = ("created_at", "id")

# Of each table the indexes that others take the place of, and the new ones by what they begin with.
Columns = tuple[str, ...]
_OWN: Columns = ("organization_id",)
_LISTS: dict[str, tuple[tuple[Columns, ...], tuple[Columns, ...]]] = {
    "agents": ((_OWN,), (_OWN,)),
    "api_keys": ((_OWN,), (_OWN,)),
    "phone_numbers": ((_OWN,), (_OWN,)),
    "tools": ((_OWN,), (_OWN,)),
    "webhook_endpoints": ((_OWN,), (_OWN,)),
    "audit_log": (
        (_OWN, (*_OWN, "resource_id")),
        (
            _OWN,
            (*_OWN, "action"),
            (*_OWN, "actor_id"),
            (*_OWN, "resource"),
            (*_OWN, "resource_id"),
        ),
    ),
    "webhook_deliveries": (
        (_OWN, (*_OWN, "call_id"), ("target_id",)),
        (_OWN, (*_OWN, "call_id"), (*_OWN, "event"), (*_OWN, "status")),
    ),
    "ledger_lines": (
        (_OWN, (*_OWN, "call_id")),
        (_OWN, (*_OWN, "call_id"), (*_OWN, "meter")),
    ),
}


def upgrade() -> None:
    for table, (gone, new) in _LISTS.items():
        for columns in gone:
            op.drop_index(f"ix_{table}_{'_'.join(columns)}_created_at", table_name=table)
        for columns in new:
            op.create_index(
                f"ix_{table}_{'_'.join(columns)}_created_at_id", table, [*columns, *_PLACE]
            )
    op.create_index(
        "ix_webhook_deliveries_target_id_created_at_id_organization_id",
        "webhook_deliveries",
        ["target_id", *_PLACE, "organization_id"],
    )
    op.drop_index("ix_webhook_deliveries_created_at", table_name="webhook_deliveries")
    where = sa.text("due_at IS NULL")
    op.create_index(
        "ix_webhook_deliveries_over",
        "webhook_deliveries",
        ["created_at"],
        sqlite_where=where,
        postgresql_where=where,
    )
    op.drop_index("ix_calls_room", table_name="calls")
    where = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_calls_room",
        "calls",
        ["organization_id", "ended_at"],
        sqlite_where=where,
        postgresql_where=where,
    )
    where = sa.text("kind = 'top_up'")
    op.create_index(
        "ix_ledger_lines_top_ups",
        "ledger_lines",
        ["organization_id", *_PLACE],
        sqlite_where=where,
        postgresql_where=where,
    )
    for name in ("", "_agent_id", "_phone_number_id", "_status"):
        op.drop_index(f"ix_calls_organization_id{name}_created_at", table_name="calls")
    op.create_index("ix_calls_newest", "calls", ["organization_id", *_PLACE])
    for name, column, behind in (
        ("agent", "agent_id", ("status", "direction")),
        ("phone_number", "phone_number_id", ("status", "direction")),
        ("status", "status", ("direction", "agent_id")),
        ("direction", "direction", ()),
    ):
        op.create_index(
            f"ix_calls_of_{name}", "calls", ["organization_id", column, *_PLACE, *behind]
        )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
