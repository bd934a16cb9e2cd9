"""The table of vendors' keys. A key is encrypted, and leaves it only towards its vendor."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.accounts.encrypted import Encrypted
from chorus.db import Base, Json, Tenant, UtcDateTime


class ProviderKey(Tenant, Base):
    """`provider` is a vendor's name (`vendors.py`). `slot` keeps keys apart: empty where an
    organization has one key of a vendor, the key's name where it may have several. `hint` is the
    end of the key, by which people know it again. `tested` is what the last test found, as the
    API shows it."""

    __tablename__ = "provider_keys"

    provider: Mapped[str] = mapped_column(sa.String(32))
    slot: Mapped[str] = mapped_column(sa.String(255))
    name: Mapped[str] = mapped_column(sa.String(255))
    secret: Mapped[str] = mapped_column(Encrypted)
    hint: Mapped[str] = mapped_column(sa.String(8))
    base_url: Mapped[str | None] = mapped_column(sa.Text)
    models: Mapped[list[str]] = mapped_column(Json)
    rotated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tested: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (sa.UniqueConstraint("organization_id", "provider", "slot"),)
