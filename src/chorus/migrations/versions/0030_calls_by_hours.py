"""Sums of calls that are over, by hours, kept by triggers

Revision ID: 0030
Revises: 0029
"""

# ruff: noqa: S608  our own words

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime, choice

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STATUSES = ("queued", "ringing", "in_progress", "completed", "failed", "no_answer")
_ALL = {"sqlite": f"'{'0' * 32}'", "postgresql": "'00000000-0000-0000-0000-000000000000'::uuid"}
_KEY = "organization_id, agent_id, hour, status, reason"
_SUMS = ("calls", "seconds", "cost_micros")
_WATCHED = ("status", "ended_reason", "ended_at", "duration_seconds", "cost_micros")


def _hour(row: str, dialect: str) -> str:
    if dialect == "sqlite":  # written as the server writes times
        return f"strftime('%Y-%m-%d %H:00:00.000000', {row}.created_at)"
    return f"date_trunc('hour', {row}.created_at, 'UTC')"


def _add(row: str, dialect: str) -> str:
    """Count a call in: for all agents together first, so that two of these never wait for each
    other in a circle."""
    rows = " UNION ALL ".join(
        f"SELECT {row}.organization_id, {agent}, {_hour(row, dialect)}, {row}.status, "
        f"coalesce({row}.ended_reason, ''), 1, coalesce({row}.duration_seconds, 0), "
        f"coalesce({row}.cost_micros, 0) WHERE {row}.ended_at IS NOT NULL"
        for agent in (_ALL[dialect], f"{row}.agent_id")
    )
    more = ", ".join(f"{name} = call_hours.{name} + excluded.{name}" for name in _SUMS)
    return (
        f"INSERT INTO call_hours ({_KEY}, {', '.join(_SUMS)}) {rows} "
        f"ON CONFLICT ({_KEY}) DO UPDATE SET {more};"
    )


def _take(row: str, dialect: str) -> str:
    """Count a call out. An update, because its organization may be going with it."""
    return " ".join(
        f"UPDATE call_hours SET calls = calls - 1, "
        f"seconds = seconds - coalesce({row}.duration_seconds, 0), "
        f"cost_micros = cost_micros - coalesce({row}.cost_micros, 0) "
        f"WHERE {row}.ended_at IS NOT NULL AND organization_id = {row}.organization_id "
        f"AND agent_id = {agent} AND hour = {_hour(row, dialect)} AND status = {row}.status "
        f"AND reason = coalesce({row}.ended_reason, '');"
        for agent in (_ALL[dialect], f"{row}.agent_id")
    )


def _follow(dialect: str) -> tuple[str, ...]:
    """What keeps the sums."""
    add, take = _add("NEW", dialect), _take("OLD", dialect)
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _WATCHED)
    of = ", ".join(_WATCHED)
    if dialect == "sqlite":
        changed = changed.replace("IS DISTINCT FROM", "IS NOT")
        return (
            f"CREATE TRIGGER calls_counted AFTER INSERT ON calls "
            f"WHEN NEW.ended_at IS NOT NULL BEGIN {add} END",
            f"CREATE TRIGGER calls_recounted AFTER UPDATE OF {of} ON calls "
            f"WHEN {changed} BEGIN {take} {add} END",
            f"CREATE TRIGGER calls_uncounted AFTER DELETE ON calls "
            f"WHEN OLD.ended_at IS NOT NULL BEGIN {take} END",
        )
    return (
        "CREATE FUNCTION call_hours_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP <> 'INSERT' THEN {take} END IF; "
        f"IF TG_OP <> 'DELETE' THEN {add} END IF; RETURN NULL; END $$",
        "CREATE TRIGGER calls_counted AFTER INSERT ON calls FOR EACH ROW "
        "WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION call_hours_follow()",
        f"CREATE TRIGGER calls_recounted AFTER UPDATE OF {of} ON calls FOR EACH ROW "
        f"WHEN ({changed}) EXECUTE FUNCTION call_hours_follow()",
        "CREATE TRIGGER calls_uncounted AFTER DELETE ON calls FOR EACH ROW "
        "WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION call_hours_follow()",
    )


def rebuilt(dialect: str) -> tuple[str, ...]:
    """What makes the sums anew, for whoever has put calls past the triggers."""
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    return (
        "DELETE FROM call_hours",
        f"INSERT INTO call_hours SELECT organization_id, agent_id, {_hour('calls', dialect)}, "
        "status, coalesce(ended_reason, ''), count(*), coalesce(sum(duration_seconds), 0), "
        "coalesce(sum(cost_micros), 0) FROM calls WHERE ended_at IS NOT NULL "
        "GROUP BY 1, 2, 3, 4, 5",
        f"INSERT INTO call_hours SELECT organization_id, {_ALL[dialect]}, hour, status, reason, "
        f"{sums} FROM call_hours GROUP BY organization_id, hour, status, reason",
    )


def upgrade() -> None:
    op.create_table(
        "call_hours",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("status", choice(*_STATUSES, name="status"), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_call_hours_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*_KEY.split(", "), name=op.f("pk_call_hours")),
        sqlite_with_rowid=False,
    )
    dialect = op.get_bind().dialect.name
    for statement in (*_follow(dialect), *rebuilt(dialect)):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
