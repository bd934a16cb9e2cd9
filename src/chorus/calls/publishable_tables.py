"""Tables of publishable tokens: what pages of anybody's may begin calls with, and what they did."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.db import Base, Json, Tenant, UtcDateTime, utcnow
from chorus.in_use import uses


class PublishableToken(Tenant, Base):
    """Lets pages of `origins` begin calls to one agent, within limits. It stands in the pages for
    everybody to read, and so is no secret and stored as it is. Revoked, its row stays, so that a
    page is told why."""

    __tablename__ = "publishable_tokens"

    agent_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("agents.id", ondelete="CASCADE"),
        info=uses("agents", noun="publishable token", until="revoked_at"),
    )
    name: Mapped[str] = mapped_column(sa.String(255))
    token: Mapped[str] = mapped_column(sa.String(64), unique=True)
    origins: Mapped[list[str]] = mapped_column(Json)
    context_variables: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    max_calls: Mapped[int]
    max_calls_per_hour: Mapped[int]
    max_calls_per_address: Mapped[int]
    max_call_seconds: Mapped[int]
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        sa.Index(None, "organization_id", "created_at", "id"),
        sa.Index(None, "agent_id"),
    )


class PublishableCall(Base):
    """A call that was begun with a token, for a day. `address_hash` is keyed: it tells calls of one
    address from those of others, and not whose it is."""

    __tablename__ = "publishable_calls"

    call_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
    )
    organization_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE")
    )
    token_id: Mapped[uuid.UUID] = mapped_column(
        sa.Uuid, sa.ForeignKey("publishable_tokens.id", ondelete="CASCADE")
    )
    address_hash: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    __table_args__ = (
        sa.Index(None, "token_id", "created_at"),
        sa.Index(None, "organization_id"),
    )
