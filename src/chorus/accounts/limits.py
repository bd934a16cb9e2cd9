"""Rate limits: a sliding minute (`window.py`) for each key and member, for each address without
one, and for an organization as a whole where it has such a limit.

On Postgres, where there may be several processes, the requests of keys, members and organizations
are counted over all of them (`leases.py`). Addresses are counted by each process in its memory,
since a stranger's request must not cost a statement; so is everything on SQLite. An address of IPv6
counts as its /64: whoever has one has all of them.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from chorus.accounts.leases import Lease, Leases
from chorus.accounts.principal import Principal
from chorus.accounts.window import WINDOW_S, Count
from chorus.addresses import household

_GUESSES = 10
"""Wrong keys for each request that an address without one may send."""
_GUESSES_IN_ALL = 100
"""The same of all addresses together; beyond it each is left its first one."""


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


class RateLimits:
    """`leases` is where other processes count too."""

    def __init__(self, per_minute: int, leases: Leases | None = None) -> None:
        self._per_minute = per_minute
        self._leases = leases
        self._counts: dict[str, Count] = {}
        self._swept = 0

    async def take(self, principal: Principal | None, address: str) -> Quota:
        """Count one request of `principal`, or of an address that showed no valid key. Of two
        limits, what is left of the tighter one is told; a request that the key's own limit
        refuses takes nothing from the organization's."""
        if principal is None:
            return self._count(self._per_minute, _without_key(address))
        own = await self._shared(
            principal.limit_per_minute or self._per_minute, f"{principal.kind}:{principal.id}"
        )
        whole = principal.organization_limit
        if whole is None or not own.allowed:
            return own
        all_ = await self._shared(whole, f"organization:{principal.organization_id}")
        return all_ if not all_.allowed or all_.remaining < own.remaining else own

    def may_guess(self, address: str) -> Quota:
        """Whether a key that is not known here is looked for: whoever showed very many wrong ones
        is refused without. While all addresses together show too many, so is every one that has
        shown any; from elsewhere a genuine key is found as ever."""
        name = _wrong(address)
        own = self._count(_GUESSES * self._per_minute, name, takes=0, needs=1)
        if not own.allowed or self._counts[name].is_empty:
            return own
        all_ = self._count(_GUESSES_IN_ALL * self._per_minute, _ALL_WRONG, takes=0, needs=1)
        return own if all_.allowed else all_

    def guessed(self, address: str) -> None:
        """Count a key that was nobody's."""
        self._count(_GUESSES * self._per_minute, _wrong(address))
        self._count(_GUESSES_IN_ALL * self._per_minute, _ALL_WRONG)

    def look(self, address: str) -> Quota:
        """What is left for an address, without counting a request."""
        return self._count(self._per_minute, _without_key(address), takes=0)

    async def give_back(self, *, everything: bool = False) -> None:
        """Let other processes have what was leased and not used. Raises what the database does."""
        if self._leases is not None:
            await self._leases.give_back(everything=everything)

    async def _shared(self, limit: int, name: str) -> Quota:
        taken = None if self._leases is None else await self._leases.take(name, limit)
        return self._count(limit, name) if taken is None else _quota(*taken)

    def _count(self, limit: int, name: str, takes: int = 1, needs: int | None = None) -> Quota:
        """`needs` is what there must be room for, where that is more than what is taken."""
        now = time.time()
        minute, past_s = divmod(now, WINDOW_S)
        self._sweep(int(minute))
        count = self._counts.get(name)
        if count is None:
            count = self._counts[name] = Count(int(minute))
        count.move_to(int(minute))
        weighed = count.weighed(past_s)
        allowed = weighed + (takes if needs is None else needs) <= limit
        if allowed:
            count.now += takes
            weighed += takes
            reset_at = math.ceil((minute + 1) * WINDOW_S)
        else:
            reset_at = math.ceil(now + count.until_one_fits(limit, past_s))
        return Quota(limit, max(0, math.floor(limit - weighed)), reset_at, allowed)

    def _sweep(self, minute: int) -> None:
        """Once a minute, forget who has not asked for two."""
        if minute != self._swept:
            self._swept = minute
            self._counts = {n: c for n, c in self._counts.items() if c.minute >= minute - 1}


_ALL_WRONG = "wrong"


def _wrong(address: str) -> str:
    return f"wrong:{household(address)}"


def _without_key(address: str) -> str:
    return f"address:{household(address)}"


def _quota(allowed: bool, lease: Lease) -> Quota:
    until_s = WINDOW_S - lease.past_s
    if not allowed:
        until_s = lease.count.until_one_fits(lease.limit, lease.past_s)
    reset_at = math.ceil(time.time() + until_s)
    return Quota(lease.limit, lease.unspent + lease.elsewhere, reset_at, allowed)
