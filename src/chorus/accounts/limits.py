"""Rate limits: a sliding minute for each key and member, for each address without one, and for an
organization as a whole where it has such a limit.

The minute is a sliding window counter: what was asked in the minute of the clock before counts by
the share of it that is within the last sixty seconds. That is two numbers for each name, and an
arithmetic of microseconds in the process's own memory; a worker of several counts for itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from chorus.accounts.principal import Principal

_WINDOW_S = 60
_GUESSES = 10
"""Wrong keys for each request that an address without one may send."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a minute. `reset_at`, in Unix seconds: when the minute of the clock ends or,
    of a request that was refused, when the next one may be sent."""

    limit: int
    remaining: int
    reset_at: int
    allowed: bool

    @property
    def retry_after_s(self) -> int:
        return max(1, self.reset_at - int(time.time()))

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset_at),
        ]


@dataclass(slots=True)
class _Count:
    """Requests in a minute of the clock, and in the one before."""

    minute: int
    now: int = 0
    before: int = 0

    def move_to(self, minute: int) -> None:
        if minute != self.minute:
            self.before = self.now if minute == self.minute + 1 else 0
            self.now = 0
            self.minute = minute


class RateLimits:
    """Counts in this process's memory."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._counts: dict[str, _Count] = {}
        self._swept = 0

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

    def may_guess(self, address: str) -> Quota:
        """Whether a key that is not known here is looked for: whoever showed very many wrong ones
        is refused without."""
        return self._count(_GUESSES * self._per_minute, f"wrong:{address}", takes=0, needs=1)

    def guessed(self, address: str) -> None:
        """Count a key that was nobody's."""
        self._count(_GUESSES * self._per_minute, f"wrong:{address}")

    def look(self, address: str) -> Quota:
        """What is left for an address, without counting a request."""
        return self._count(self._per_minute, f"address:{address}", takes=0)

    def _count(self, limit: int, name: str, takes: int = 1, needs: int | None = None) -> Quota:
        """`needs` is what there must be room for, where that is more than what is taken."""
        now = time.time()
        minute, past_s = divmod(now, _WINDOW_S)
        self._sweep(int(minute))
        count = self._counts.get(name)
        if count is None:
            count = self._counts[name] = _Count(int(minute))
        count.move_to(int(minute))
        weighed = count.now + count.before * (1 - past_s / _WINDOW_S)
        allowed = weighed + (takes if needs is None else needs) <= limit
        if allowed:
            count.now += takes
            weighed += takes
            reset_at = math.ceil((minute + 1) * _WINDOW_S)
        else:
            reset_at = math.ceil(now + _until_one_fits(count, limit, past_s))
        return Quota(limit, max(0, math.floor(limit - weighed)), reset_at, allowed)

    def _sweep(self, minute: int) -> None:
        """Once a minute, forget who has not asked for two."""
        if minute != self._swept:
            self._swept = minute
            self._counts = {n: c for n, c in self._counts.items() if c.minute >= minute - 1}


def _until_one_fits(count: _Count, limit: int, past_s: float) -> float:
    """Seconds until the window holds at most `limit - 1`, if nothing is sent until then."""
    room = limit - 1
    if count.now <= room:
        # Enough of the minute before slides out while this one lasts.
        return _WINDOW_S * (1 - (room - count.now) / count.before) - past_s
    return _WINDOW_S - past_s + _WINDOW_S * (1 - room / count.now)
