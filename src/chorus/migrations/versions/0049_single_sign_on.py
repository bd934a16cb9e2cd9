"""Signing in by an organization's identity provider

Revision ID: 0049
Revises: 0048

An identity has no password from now on if its person comes by a provider alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chorus.db import UtcDateTime

revision: str = "0049"
down_revision: str | None = "0048"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("identities") as identities:
        identities.alter_column("password_hash", existing_type=sa.String(length=255), nullable=True)
    op.add_column(
        "sessions", sa.Column("by_sso", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "sso_connections",
        *_tenant("sso_connections"),
        sa.Column("issuer", sa.String(length=512), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=False),
        sa.Column(
            "default_role",
            sa.Enum(
                *("viewer", "developer", "admin"),
                name="default_role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("organization_id", name=op.f("uq_sso_connections_organization_id")),
    )
    op.create_table(
        "sso_domains",
        *_tenant("sso_domains"),
        sa.Column("domain", sa.String(length=253), nullable=False),
        sa.Column("verified_at", UtcDateTime(), nullable=True),
        sa.UniqueConstraint(
            "organization_id", "domain", name=op.f("uq_sso_domains_organization_id_domain")
        ),
    )
    op.create_index(op.f("ix_sso_domains_domain"), "sso_domains", ["domain"])
    op.create_table(
        "sso_links",
        *_tenant("sso_links"),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(length=512), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
            name=op.f("fk_sso_links_member_id_members"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("member_id", name=op.f("uq_sso_links_member_id")),
        sa.UniqueConstraint(
            "organization_id",
            "issuer",
            "subject",
            name=op.f("uq_sso_links_organization_id_issuer_subject"),
        ),
    )
    op.create_table(
        "sso_flows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                *("sign_in", "link"),
                name="purpose",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _of_organization("sso_flows"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sso_flows")),
        sa.UniqueConstraint("state_hash", name=op.f("uq_sso_flows_state_hash")),
    )
    op.create_index(op.f("ix_sso_flows_expires_at"), "sso_flows", ["expires_at"])


def _tenant(table: str) -> tuple[sa.Column[object] | sa.Constraint, ...]:
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _of_organization(table),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def _of_organization(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"],
        ["organizations.id"],
        name=op.f(f"fk_{table}_organization_id_organizations"),
        ondelete="CASCADE",
    )


def downgrade() -> None:
    raise NotImplementedError("a schema goes only forward; restore a backup instead")
