"""Any carrier's name as provider, and the sentence that says how a call ended

Which carriers there are is said in one place, `lines/carriers.py`; a CHECK in two tables would
make a migration of each new one. SQLite's own way to take a CHECK off a table is to edit the text
of its schema: https://www.sqlite.org/lang_altertable.html, section 7.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_CHECKED = {"calls": "ck_calls_provider", "phone_numbers": "ck_phone_numbers_provider"}


def upgrade() -> None:
    op.add_column("calls", sa.Column("ended_detail", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _uncheck_sqlite()
    else:
        for table, check in _CHECKED.items():
            op.drop_constraint(op.f(check), table, type_="check")


def _uncheck_sqlite() -> None:
    connection = op.get_bind()
    version = connection.scalar(sa.text("PRAGMA schema_version"))
    connection.execute(sa.text("PRAGMA writable_schema = ON"))
    for table, check in _CHECKED.items():
        schema: str = connection.scalar(
            sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"),
            {"name": table},
        )
        unchecked, found = re.subn(
            rf",\s*CONSTRAINT {check} CHECK \(provider IN \([^()]*\)\)", "", schema
        )
        assert found == 1, f"{table} has no {check}"
        connection.execute(
            sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :name"),
            {"sql": unchecked, "name": table},
        )
    connection.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema = OFF"))


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
