"""The table of tools. The headers, which may hold secrets, are stored apart and encrypted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Json, Tenant, choice


class Tool(Tenant, Base):
    __tablename__ = "tools"

    name: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str] = mapped_column(sa.Text)
    type: Mapped[str] = mapped_column(choice("http", name="type"))
    config: Mapped[dict[str, Any]] = mapped_column(Json)
    # Encrypted JSON: [{"key", "value"}].
    headers: Mapped[str | None] = mapped_column(Encrypted)

    __table_args__ = (sa.Index(None, "organization_id", "created_at", "id"),)
