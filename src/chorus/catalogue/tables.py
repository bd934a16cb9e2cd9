"""What vendors said that a key can use: the last good list, kept for when they do not answer."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.db import Base, Json, UtcDateTime


class VendorList(Base):
    """Of an organization's key, or of the operator's of a `provider`, where both ids are null.
    `voices` as JSON of `VendorVoice`, `models` are names."""

    __tablename__ = "vendor_lists"

    id: Mapped[uuid.UUID] = mapped_column(sa.Uuid, primary_key=True, default=uuid.uuid4)
    organization_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid, sa.ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    provider_key_id: Mapped[uuid.UUID | None] = mapped_column(
        sa.Uuid, sa.ForeignKey("provider_keys.id", ondelete="CASCADE"), unique=True
    )
    provider: Mapped[str] = mapped_column(sa.String(32))
    voices: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    models: Mapped[list[str]] = mapped_column(Json)
    fetched_at: Mapped[datetime] = mapped_column(UtcDateTime)
