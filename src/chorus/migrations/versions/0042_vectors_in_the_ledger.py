"""Lines of the ledger for vectors of documents

Revision ID: 0042
Revises: 0041
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0042"
down_revision: str | None = "0041"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OLD_KINDS = "kind IN ('charge', 'top_up')"
_KINDS = "kind IN ('charge', 'top_up', 'embedding')"
_COMPLETE = (
    "kind <> 'embedding' OR (reading_id IS NOT NULL AND document_id IS NOT NULL"
    " AND meter IS NOT NULL AND quantity > 0 AND amount_micros >= 0)"
)


def upgrade() -> None:
    for name in ("document_id", "reading_id"):
        op.add_column("ledger_lines", sa.Column(name, sa.Uuid(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _check_sqlite()
    else:
        op.drop_constraint(op.f("ck_ledger_lines_kind"), "ledger_lines", type_="check")
        op.create_check_constraint(op.f("ck_ledger_lines_kind"), "ledger_lines", _KINDS)
        op.create_check_constraint(op.f("ck_ledger_lines_embedding"), "ledger_lines", _COMPLETE)
    of_embeddings = sa.text("kind = 'embedding'")
    for name, columns, unique in (
        ("ix_ledger_lines_readings", ["reading_id"], True),
        ("ix_ledger_lines_embeddings", ["organization_id", "created_at", "id"], False),
    ):
        op.create_index(
            name,
            "ledger_lines",
            columns,
            unique=unique,
            sqlite_where=of_embeddings,
            postgresql_where=of_embeddings,
        )


def _check_sqlite() -> None:
    """SQLite changes no constraint; to copy the ledger would take long, and its rows fit."""
    connection = op.get_bind()
    version = connection.scalar(sa.text("PRAGMA schema_version"))
    table = "type = 'table' AND name = 'ledger_lines'"
    schema: str = connection.scalar(
        sa.text(f"SELECT sql FROM sqlite_master WHERE {table}")  # noqa: S608  our own words
    )
    old = f"CHECK ({_OLD_KINDS})"
    assert schema.count(old) == 1, "ledger_lines has no check of its kinds"
    more = f"CHECK ({_KINDS}), CONSTRAINT ck_ledger_lines_embedding CHECK ({_COMPLETE})"
    connection.execute(sa.text("PRAGMA writable_schema = ON"))
    connection.execute(
        sa.text(f"UPDATE sqlite_master SET sql = :sql WHERE {table}"),  # noqa: S608  our own words
        {"sql": schema.replace(old, more)},
    )
    connection.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema = OFF"))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
