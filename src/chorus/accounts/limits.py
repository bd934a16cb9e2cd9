"""Rate limits: a sliding window of a minute for each key and member, for each address without one,
and for an organization as a whole where it has such a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from chorus.accounts.principal import Principal


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
        """Count one request of `principal`, or of an address that showed no valid key. Of two
        limits, what is left of the tighter one is told; a request that the key's own limit
        refuses takes nothing from the organization's."""
        if principal is None:
            return self._count(self._per_minute, f"address:{address}")
        own = self._count(
            principal.limit_per_minute or self._per_minute, f"{principal.kind}:{principal.id}"
        )
        whole = principal.organization_limit
        if whole is None or not own.allowed:
            return own
        all_ = self._count(whole, f"organization:{principal.organization_id}")
        return all_ if not all_.allowed or all_.remaining < own.remaining else own

    def _count(self, limit: int, name: str) -> Quota:
        item = RateLimitItemPerMinute(limit)
        allowed = self._counter.hit(item, name)
        window = self._counter.get_window_stats(item, name)
        return Quota(limit, max(0, int(window.remaining)), math.ceil(window.reset_time), allowed)
