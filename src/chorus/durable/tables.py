"""The table of the processes that do Chorus's work."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chorus.db import Base, UtcDateTime, utcnow


class Executor(Base):
    """A process. `beat` counts up every few seconds for as long as it lives; others judge it by
    whether the number moves, never by a date (see `pulse.py`). `incarnation` differs each time
    that the process starts, `id` does not. `media_url` is where websockets of its calls' audio
    arrive, `peer_address` (host:port) where processes of other machines pass them on to it; None:
    nowhere. `started_at` is for people."""

    __tablename__ = "executors"

    id: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    incarnation: Mapped[uuid.UUID] = mapped_column(sa.Uuid)
    beat: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    media_url: Mapped[str | None] = mapped_column(sa.Text)
    peer_address: Mapped[str | None] = mapped_column(sa.Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
