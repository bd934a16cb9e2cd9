"""Lists whose filters find nothing, and usage of a year: indexes that hold every filter of a list
of calls, and sums by months

Revision ID: 0046
Revises: 0045
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import choice

revision: str = "0046"
down_revision: str | None = "0045"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_METERS = ("telephony", "transcription", "voice", "model_input", "model_output")
_FILTERS = ("agent_id", "phone_number_id", "status", "ended_reason", "direction")
_OLD = ("agent", "phone_number", "status")
_NAMED = {name: name.removesuffix("_id") for name in _FILTERS if name != "direction"}
_SUMS = ("calls", "first_calls", "quantity", "amount_micros", "discarded_micros")
_MONTH = {
    "sqlite": "date(day, 'start of month')",
    "postgresql": "date_trunc('month', day::timestamp)::date",
}


def upgrade() -> None:
    for name in _OLD:
        op.drop_index(f"ix_calls_of_{name}", "calls")
    for column, name in _NAMED.items():
        op.create_index(
            f"ix_calls_of_{name}",
            "calls",
            [
                *("organization_id", column, "created_at", "id"),
                *(other for other in _FILTERS if other != column),
            ],
        )
    op.create_table(
        "usage_months",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("by", choice("organization", "agent", "phone_number", name="by"), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
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
            name=op.f("fk_usage_months_organization_id_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "by", "month", "of_id", "meter", name=op.f("pk_usage_months")
        ),
        sqlite_with_rowid=False,
    )
    month = _MONTH[op.get_bind().dialect.name]
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    op.get_bind().exec_driver_sql(
        f'INSERT INTO usage_months SELECT organization_id, "by", {month}, of_id, meter, {sums} '  # noqa: S608  our own words
        f'FROM usage_days GROUP BY organization_id, "by", {month}, of_id, meter'
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
