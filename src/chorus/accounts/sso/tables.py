"""Tables of the sign-in by an organization's identity provider (OpenID Connect)."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Tenant, UtcDateTime, choice, utcnow

DEFAULT_ROLES = ("viewer", "developer", "admin")
"""What somebody may become by coming for the first time: never an owner."""


class SsoConnection(Tenant, Base):
    """The identity provider of an organization, which has one at most. `default_role` is what
    somebody becomes who was not invited; null refuses those. `required`: members with an address
    in one of the domains may not log in with a password (`policy.py`)."""

    __tablename__ = "sso_connections"

    issuer: Mapped[str] = mapped_column(sa.String(512))
    client_id: Mapped[str] = mapped_column(sa.String(255))
    client_secret: Mapped[str] = mapped_column(Encrypted)
    default_role: Mapped[str | None] = mapped_column(choice(*DEFAULT_ROLES, name="default_role"))
    required: Mapped[bool]

    __table_args__ = (sa.UniqueConstraint("organization_id"),)


class SsoDomain(Tenant, Base):
    """A domain of e-mail addresses that an organization takes from its provider. Any organization
    may name any domain; with `verified_at`, its DNS said that it may be found by it."""

    __tablename__ = "sso_domains"

    domain: Mapped[str] = mapped_column(sa.String(253), index=True)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (sa.UniqueConstraint("organization_id", "domain"),)


class SsoLink(Tenant, Base):
    """Which account at which issuer a member is. It is of the member and not of the identity: what
    one organization's provider says counts in no other."""

    __tablename__ = "sso_links"

    member_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("members.id", ondelete="CASCADE"), unique=True
    )
    issuer: Mapped[str] = mapped_column(sa.String(512))
    subject: Mapped[str] = mapped_column(sa.String(255))

    __table_args__ = (sa.UniqueConstraint("organization_id", "issuer", "subject"),)


class SsoFlow(Base):
    """Somebody who is on the way to the provider and back (`sign_in`), or who came back and must
    show a password once (`link`). Of the state and of the browser's cookie the SHA-256 is kept;
    `sealed` is what has to be remembered. It is good once, for minutes (`flows.py`)."""

    __tablename__ = "sso_flows"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    purpose: Mapped[str] = mapped_column(choice("sign_in", "link", name="purpose"))
    state_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    browser_hash: Mapped[str] = mapped_column(sa.String(64))
    sealed: Mapped[str] = mapped_column(Encrypted)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
