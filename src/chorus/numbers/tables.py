"""The table of phone numbers. What must not be read back is encrypted in `credentials`."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Json, Tenant
from chorus.in_use import uses


class PhoneNumber(Tenant, Base):
    """A number, and how its carrier is reached. `provider` is the name
    of its carrier (`lines/carriers.py`). `connection` holds the settings that are no
    secrets (camelCase, as in the API), `credentials` the encrypted JSON of those that are.
    `registration` is how it stands at its carrier, as the API shows it; None where it need not."""

    __tablename__ = "phone_numbers"

    name: Mapped[str] = mapped_column(sa.String(255))
    number: Mapped[str] = mapped_column(sa.String(16))
    provider: Mapped[str] = mapped_column(sa.String(32))
    agent_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid,
        sa.ForeignKey("agents.id", ondelete="SET NULL"),
        index=True,
        info=uses("agents", noun="phone number"),
    )
    connection: Mapped[dict[str, Any]] = mapped_column(Json)
    credentials: Mapped[str | None] = mapped_column(Encrypted)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", Json)
    registration: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        # Not over all organizations: nobody has proved that a number is theirs by naming it.
        sa.UniqueConstraint("organization_id", "provider", "number"),
        # By which an inbound call finds those that name its number (`routing.of_number`).
        sa.Index(None, "provider", "number"),
        sa.Index(None, "organization_id", "created_at", "id"),
    )
