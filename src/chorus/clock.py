"""Time, as two different things: how long something took, and what the date is.

Durations and deadlines use `monotonic`, so that a wall clock that is set back an hour
changes no call. In tests the event loop itself runs on virtual time
(`tests/fakes/virtual.py`), so code that awaits needs no clock handed to it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds that only go forward; the origin means nothing."""
        ...

    def utcnow(self) -> datetime:
        """The date, timezone-aware in UTC; may step."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(UTC)
