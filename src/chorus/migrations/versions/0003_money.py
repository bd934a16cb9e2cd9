"""Money: the ledger, balances and holds

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A line is never changed. (It goes with its organization, so deleting is not refused.)
_APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER ledger_lines_append_only BEFORE UPDATE ON ledger_lines "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION ledger_lines_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE TRIGGER ledger_lines_append_only BEFORE UPDATE ON ledger_lines "
        "FOR EACH ROW EXECUTE FUNCTION ledger_lines_append_only()",
    ),
}


def upgrade() -> None:
    op.create_table(
        "balances",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_balances_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", name="pk_balances"),
    )
    op.create_table(
        "balance_holds",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("minute_micros", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("direction", sa.String(length=32), nullable=False),
        sa.Column("transcriber", sa.String(length=255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_balance_holds_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("call_id", name="pk_balance_holds"),
    )
    op.create_index("ix_balance_holds_organization_id", "balance_holds", ["organization_id"])
    op.create_table(
        "ledger_lines",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", _choice("kind", "charge", "top_up"), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=True),
        sa.Column(
            "meter",
            _choice("meter", "telephony", "transcription", "voice", "model_input", "model_output"),
            nullable=True,
        ),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("engine", sa.String(length=255), nullable=True),
        sa.Column("discarded", sa.Boolean(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("price_version", sa.String(length=64), nullable=True),
        sa.Column("price_micros", sa.BigInteger(), nullable=True),
        sa.Column("price_per", sa.BigInteger(), nullable=True),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.Boolean(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("phone_number_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("called_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind <> 'charge' OR (call_id IS NOT NULL AND meter IS NOT NULL"
            " AND sequence IS NOT NULL AND quantity > 0 AND amount_micros >= 0)",
            name=op.f("ck_ledger_lines_charge"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_ledger_lines_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_lines"),
        sa.UniqueConstraint(
            "call_id", "meter", "sequence", name="uq_ledger_lines_call_id_meter_sequence"
        ),
    )
    for column in ("created_at", "called_at"):
        op.create_index(
            f"ix_ledger_lines_organization_id_{column}", "ledger_lines", ["organization_id", column]
        )
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)
