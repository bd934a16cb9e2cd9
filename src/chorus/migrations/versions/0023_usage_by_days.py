"""Sums of what calls used, by days

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import choice

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_METERS = ("telephony", "transcription", "voice", "model_input", "model_output")
_NOBODY = {"sqlite": f"'{'0' * 32}'", "postgresql": "'00000000-0000-0000-0000-000000000000'::uuid"}
_DAY = {"sqlite": "date(called_at)", "postgresql": "(called_at AT TIME ZONE 'UTC')::date"}


def upgrade() -> None:
    op.create_table(
        "usage_days",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("by", choice("organization", "agent", "phone_number", name="by"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("of_id", sa.Uuid(), nullable=False),
        sa.Column("meter", choice(*_METERS, name="meter"), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("first_calls", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("discarded_micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_usage_days_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "by", "day", "of_id", "meter", name=op.f("pk_usage_days")
        ),
        sqlite_with_rowid=False,
    )
    dialect = op.get_bind().dialect.name
    day = _DAY[dialect]
    # Of each call and meter one row, and of each call one that counts it.
    used = (
        f"SELECT organization_id, {day} AS day, agent_id, "  # noqa: S608  our own words
        f"coalesce(phone_number_id, {_NOBODY[dialect]}) AS phone_number_id, meter, "
        "CASE WHEN row_number() OVER (PARTITION BY call_id ORDER BY meter) = 1 THEN 1 ELSE 0 END "
        "AS first, sum(quantity) AS quantity, sum(amount_micros) AS amount, "
        "sum(CASE WHEN discarded THEN amount_micros ELSE 0 END) AS discarded "
        "FROM ledger_lines WHERE kind = 'charge' "
        f"GROUP BY organization_id, call_id, {day}, agent_id, phone_number_id, meter"
    )
    op.execute(f"CREATE TEMPORARY TABLE used AS {used}")
    for by in ("organization", "agent", "phone_number"):
        sums = (
            f"SELECT organization_id, '{by}', day, {by}_id, meter, count(*), sum(first), "  # noqa: S608
            "sum(quantity), sum(amount), sum(discarded) FROM used "
            f"GROUP BY organization_id, day, {by}_id, meter"
        )
        op.execute(f"INSERT INTO usage_days {sums}")
    op.execute("DROP TABLE used")


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
