"""What agents were before each change, drafts of changes, and which version a call had

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Of an agent, what is no part of a version.
_NOT_KEPT = {
    *("id", "organization_id", "version", "is_active", "post_call_webhook_secret"),
    *("created_at", "updated_at"),
}
_AT_ONCE = 500


def upgrade() -> None:
    op.add_column(
        "agents", sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1"))
    )
    op.add_column("calls", sa.Column("agent_version", sa.Integer(), nullable=True))
    op.create_table(
        "agent_versions",
        *_tenant("agent_versions"),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("author_kind", sa.String(16), nullable=True),
        sa.Column("author", sa.String(255), nullable=True),
        sa.Column("restored_from", sa.Integer(), nullable=True),
        sa.Column("settings", Json, nullable=False),
        _of_agent("agent_versions"),
        sa.UniqueConstraint("agent_id", "number", name=op.f("uq_agent_versions_agent_id_number")),
    )
    op.create_index(
        op.f("ix_agent_versions_organization_id"), "agent_versions", ["organization_id"]
    )
    op.create_index(
        op.f("ix_agent_versions_agent_id_created_at_id"),
        "agent_versions",
        ["agent_id", "created_at", "id"],
    )
    op.create_table(
        "agent_drafts",
        *_tenant("agent_drafts"),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("changes", Json, nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("author_kind", sa.String(16), nullable=True),
        sa.Column("author", sa.String(255), nullable=True),
        _of_agent("agent_drafts"),
        sa.UniqueConstraint("agent_id", name=op.f("uq_agent_drafts_agent_id")),
    )
    op.create_index(op.f("ix_agent_drafts_organization_id"), "agent_drafts", ["organization_id"])
    _keep_what_is()


def _tenant(table: str) -> tuple[Any, ...]:
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f(f"fk_{table}_organization_id_organizations"),
            ondelete="CASCADE",
        ),
    )


def _of_agent(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["agent_id"],
        ["agents.id"],
        name=op.f(f"fk_{table}_agent_id_agents"),
        ondelete="CASCADE",
    )


def _keep_what_is() -> None:
    """Each agent as it is today is its first version."""
    connection = op.get_bind()
    # As they are at this revision, whatever the models have become since.
    known = sa.MetaData()
    agents = sa.Table("agents", known, autoload_with=connection)
    tools = sa.Table("agent_tools", known, autoload_with=connection)
    versions = sa.table(
        "agent_versions",
        *(sa.column(name, sa.Uuid()) for name in ("id", "organization_id", "agent_id")),
        sa.column("number", sa.Integer()),
        sa.column("settings", Json),
        sa.column("created_at", UtcDateTime()),
        sa.column("updated_at", UtcDateTime()),
    )
    of_agent: dict[uuid.UUID, list[str]] = {}
    given = sa.select(tools.c.agent_id, tools.c.tool_id)
    for agent_id, tool_id in connection.execute(given.order_by(tools.c.position)):
        of_agent.setdefault(_id(agent_id), []).append(str(_id(tool_id)))
    now = datetime.now(UTC)
    found = connection.execute(sa.select(agents)).mappings().all()
    for start in range(0, len(found), _AT_ONCE):
        connection.execute(
            sa.insert(versions),
            [
                {
                    "id": uuid.uuid4(),
                    "organization_id": _id(row["organization_id"]),
                    "agent_id": _id(row["id"]),
                    "number": 1,
                    "settings": _settings(row, of_agent.get(_id(row["id"]), [])),
                    "created_at": now,
                    "updated_at": now,
                }
                for row in found[start : start + _AT_ONCE]
            ],
        )


def _id(value: Any) -> uuid.UUID:
    """An id as its database has it: 32 digits in SQLite."""
    return uuid.UUID(str(value))


def _settings(row: Mapping[Any, Any], tool_ids: list[str]) -> dict[str, Any]:
    """By the API's names."""
    values = {
        str(name): str(_id(value)) if str(name).endswith("_id") and value is not None else value
        for name, value in row.items()
        if name not in _NOT_KEPT
    }
    return {_camel(name): value for name, value in {**values, "tool_ids": tool_ids}.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
