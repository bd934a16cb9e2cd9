"""Who somebody is, apart from where they are a member

Revision ID: 0031
Revises: 0030

Each member that has a password becomes an identity of its own: that two have the same address does
not prove that they are one person. People bring theirs together by an invitation.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import Json, UtcDateTime

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MOVED = (
    *("password_hash", "second_factor_secret", "second_factor_at", "second_factor_step"),
    "recovery_hashes",
)


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("password_is_own", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("second_factor_secret", sa.Text(), nullable=True),
        sa.Column("second_factor_at", UtcDateTime(), nullable=True),
        sa.Column(
            "second_factor_step", sa.BigInteger(), nullable=False, server_default=sa.text("0")
        ),
        sa.Column("recovery_hashes", Json, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identities"),
    )
    op.create_index("ix_identities_email", "identities", ["email"])
    columns = ", ".join(("id", "email", *_MOVED, "created_at", "updated_at"))
    op.execute(
        f"INSERT INTO identities ({columns}) "  # noqa: S608  our own words
        f"SELECT {columns} FROM members WHERE password_hash IS NOT NULL"
    )
    with op.batch_alter_table("members") as table:
        table.add_column(sa.Column("identity_id", sa.Uuid(), nullable=True))
        table.create_foreign_key(
            op.f("fk_members_identity_id"), "identities", ["identity_id"], ["id"]
        )
        table.create_index(op.f("ix_members_identity_id"), ["identity_id"])
    op.execute("UPDATE members SET identity_id = id WHERE password_hash IS NOT NULL")
    with op.batch_alter_table("members") as table:
        for name in _MOVED:
            table.drop_column(name)


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
