"""Tables of accounts: organizations, their members and API keys, sessions, the audit log, and what
is kept of repeated POSTs and of attempts to log in."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chorus.accounts.encrypted import Encrypted
from chorus.accounts.principal import ROLES
from chorus.db import Base, Json, Tenant, UtcDateTime, choice, utcnow, when_created


class Organization(Base):
    """A tenant. Every other row belongs to one. `max_concurrent_calls` null is the server's
    CHORUS_MAX_CONCURRENT_CALLS; up to `max_queued_calls` beyond that wait in line.

    The organization sets its own limits, up to the ceilings, which the operator sets; whoever
    lowers a ceiling lowers the limit too, so only the limits are asked. `rate_limit_per_minute` is
    for all keys and members together, null is no such limit."""

    __tablename__ = "organizations"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(sa.String(255))
    max_concurrent_calls: Mapped[int | None]
    max_queued_calls: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    rate_limit_per_minute: Mapped[int | None]
    concurrent_calls_ceiling: Mapped[int | None]
    rate_limit_ceiling: Mapped[int | None]
    suspended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    recording_retention_days: Mapped[int | None]
    transcript_retention_days: Mapped[int | None]
    audit_retention_days: Mapped[int | None]
    supervision_tone: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    supervision_announcement: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=when_created, onupdate=utcnow)


class RateCount(Base):
    """Requests of `name` that were given out to processes: in `minute`, in minutes of the Unix
    epoch by the database's clock, and in the one before. Used on Postgres alone, where
    the table is not logged: a crash of the database empties it."""

    __tablename__ = "rate_counts"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    minute: Mapped[int] = mapped_column(sa.BigInteger)
    given: Mapped[int]
    before: Mapped[int]


class ApiKey(Tenant, Base):
    """A key to the API. Only its SHA-256 is kept: keys are random, so nothing slower is needed.

    `prefix` is what people see of it in lists. `scopes` null is `principal.SCOPES`. `created_by` is
    the key or the member that made it, null where the operator did; it is revoked with such a key.
    """

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(sa.String(255))
    hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    prefix: Mapped[str] = mapped_column(sa.String(32))
    scopes: Mapped[list[str] | None] = mapped_column(Json)
    rate_limit_per_minute: Mapped[int | None]
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_by: Mapped[uuid.UUID | None] = mapped_column(index=True)

    __table_args__ = (sa.Index(None, "organization_id", "created_at", "id"),)


class IdempotentRequest(Base):
    """A POST that came with an Idempotency-Key. `status` is null while it is under way; `claim`
    says which attempt holds it. The answer is encrypted, because it may hold a new API key."""

    __tablename__ = "idempotent_requests"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    path: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    claim: Mapped[uuid.UUID] = mapped_column(sa.Uuid)
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(Encrypted)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)


class Identity(Base):
    """Who logs in: an address, kept in lower case, and what proves it. It is a member of one
    organization or more (`identities.py`). Addresses are not verified, so several may have the
    same one: the password tells which is meant.

    `password_hash` is null of somebody who comes by an identity provider alone (`sso/`).
    `password_is_own`: its person set the password, or the operator did; false where a member of an
    organization or a key made the member with it.
    `second_factor_at` is when a second factor was confirmed, null while there is none;
    `second_factor_step` is the last step of the clock of which a code was used; of recovery codes
    the SHA-256 is kept (`second_factor.py`)."""

    __tablename__ = "identities"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    email: Mapped[str] = mapped_column(sa.String(254), index=True)
    password_hash: Mapped[str | None] = mapped_column(sa.String(255))
    password_is_own: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    second_factor_secret: Mapped[str | None] = mapped_column(Encrypted)
    second_factor_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    second_factor_step: Mapped[int] = mapped_column(
        sa.BigInteger, default=0, server_default=sa.text("0")
    )
    recovery_hashes: Mapped[list[str] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=when_created, onupdate=utcnow)


class Member(Tenant, Base):
    """That somebody belongs to an organization, with a role. `email`, kept in lower case, is that
    of the identity; while there is none, nobody has come yet, and there is an invitation, of which
    the SHA-256 is kept; it ends by itself."""

    __tablename__ = "members"

    email: Mapped[str] = mapped_column(sa.String(254), index=True)
    name: Mapped[str | None] = mapped_column(sa.String(255))
    role: Mapped[str] = mapped_column(choice(*ROLES, name="role"))
    identity_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid, sa.ForeignKey("identities.id"), index=True
    )
    invitation_hash: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    invitation_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_login_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    # Read by a statement of its own: Postgres locks no row of an outer join.
    identity: Mapped[Identity | None] = relationship(lazy="selectin")

    __table_args__ = (sa.UniqueConstraint("organization_id", "email"),)


class MemberSession(Tenant, Base):
    """A member who is logged in, on one device. Of the cookie's token the SHA-256 is kept.
    `by_sso`: the organization's identity provider vouched for it, and so for nothing elsewhere."""

    __tablename__ = "sessions"

    member_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("members.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    address: Mapped[str] = mapped_column(sa.String(64))
    user_agent: Mapped[str] = mapped_column(sa.String(255))
    by_sso: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class View(Tenant, Base):
    """A list of the dashboard as a member wants to see it again. `query` is what stands behind the
    ? in the page's address."""

    __tablename__ = "views"

    member_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("members.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(sa.String(255))
    page: Mapped[str] = mapped_column(sa.String(32))
    query: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = (sa.Index(None, "organization_id", "member_id", "created_at", "id"),)


class LoginAttempts(Base):
    """Attempts to log in that have not succeeded, of an account, an address, or both together.
    `name` is a hash of what is counted, so that the table is no list of e-mail addresses."""

    __tablename__ = "login_attempts"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    blocked_until: Mapped[datetime] = mapped_column(UtcDateTime)


class Seal(Base):
    """One row: a known sentence, encrypted, by which a wrong secret key is noticed (`seal.py`)."""

    __tablename__ = "seals"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sentence: Mapped[str] = mapped_column(Encrypted)


class AuditEntry(Base):
    """A change, and who made it. `actor_name` is what the key or member was called then; `fields`
    are names, never values; `detail` says more where that is no secret."""

    __tablename__ = "audit_log"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    actor: Mapped[str] = mapped_column(choice("key", "member", "operator", name="actor"))
    actor_id: Mapped[uuid.UUID | None]
    actor_name: Mapped[str] = mapped_column(sa.String(300))
    action: Mapped[str] = mapped_column(sa.String(64))
    resource: Mapped[str] = mapped_column(sa.String(64))
    resource_id: Mapped[uuid.UUID | None]
    fields: Mapped[list[str]] = mapped_column(Json)
    detail: Mapped[dict[str, Any] | None] = mapped_column(Json)
    request_id: Mapped[str | None] = mapped_column(sa.String(64))
    address: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    __table_args__ = (
        sa.Index(None, "organization_id", "created_at", "id"),
        *(
            sa.Index(None, "organization_id", name, "created_at", "id")
            for name in ("action", "actor_id", "resource", "resource_id")
        ),
    )
