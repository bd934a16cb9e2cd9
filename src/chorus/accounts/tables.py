"""Tables of accounts: organizations, their API keys, and the answers kept for repeated POSTs."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.db import Base, Json, Tenant, UtcDateTime, utcnow, when_created


class Organization(Base):
    """A tenant. Every other row belongs to one. `max_concurrent_calls` null is the server's
    CHORUS_MAX_CONCURRENT_CALLS; up to `max_queued_calls` beyond that wait in line."""

    __tablename__ = "organizations"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(sa.String(255))
    max_concurrent_calls: Mapped[int | None]
    max_queued_calls: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=when_created, onupdate=utcnow)


class ApiKey(Tenant, Base):
    """A key to the API. Only its SHA-256 is kept: keys are random, so nothing slower is needed.

    `prefix` is what people see of it in lists. `scopes` null is everything.
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

    __table_args__ = (sa.Index(None, "organization_id", "created_at"),)


class IdempotentRequest(Base):
    """A POST that came with an Idempotency-Key. `status` is null while it is under way; `claim`
    says which attempt holds it."""

    __tablename__ = "idempotent_requests"

    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    path: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    claim: Mapped[uuid.UUID] = mapped_column(sa.Uuid)
    status: Mapped[int | None]
    body: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)
