"""When a delivery is tried again.

Nine tries. The waits count from the end of the try before, and vary by a tenth, so that a
receiver which was away does not get all that waited for it in the same second.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SCHEDULE_S = (0, 5, 60, 300, 1800, 7200, 21_600, 43_200, 86_400)
"""Seconds to wait before each try."""

JITTER = 0.1
LONGEST_ASKED_S = 3600.0
"""A receiver that asks for patience gets as much, unless the schedule has more."""


def wait_s(tries: int, asked_s: float | None = None, of: int = len(SCHEDULE_S)) -> float | None:
    """Seconds until the next try after `tries` of them; None if that was the last of `of`."""
    if tries >= of:
        return None
    planned = SCHEDULE_S[tries] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret
    return max(planned, min(asked_s or 0.0, LONGEST_ASKED_S))


def asked_s(status: int, retry_after: str | None, now: datetime) -> float | None:
    """The wait that an answer of 429 or 503 asks for (RFC 9110 §10.2.3): seconds or a date. None
    where it asks for none, or for something that cannot be read."""
    if status not in (429, 503) or retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
