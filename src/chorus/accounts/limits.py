"""Rate limits: a sliding window of a minute for each key, and for each address without one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from chorus.accounts.keys import Principal


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a minute. `reset_at` is in Unix seconds."""

    limit: int
    remaining: int
    reset_at: int
    allowed: bool

    @property
    def retry_after_s(self) -> int:
        return max(1, self.reset_at - int(time()))

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset_at),
        ]


class RateLimits:
    """Counts in this process's memory."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, principal: Principal | None, address: str) -> Quota:
        """Count one request of `principal`, or of an address that showed no valid key."""
        limit, name = self._per_minute, f"address:{address}"
        if principal is not None:
            limit, name = principal.rate_limit_per_minute or limit, f"key:{principal.key_id}"
        item = RateLimitItemPerMinute(limit)
        allowed = self._counter.hit(item, name)
        window = self._counter.get_window_stats(item, name)
        return Quota(limit, max(0, int(window.remaining)), math.ceil(window.reset_time), allowed)
