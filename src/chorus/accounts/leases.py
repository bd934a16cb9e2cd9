"""Requests of a minute, shared among all processes on one Postgres.

The table `rate_counts` has for each name how many requests of this minute, and of the one before,
were given out. A process takes some at a time, a lease, and spends them from its own memory; only
when they are used up does it ask again. So a request costs no statement, and still no more are
spent than the window has, over all processes: what was leased counts as sent, and is good only
within its minute of the database's clock.

What a process holds unspent is kept from the others meanwhile. A lease is at most `SHARE` of what
the minute has left, so a process may refuse a request too early by as much for each of the others.
What is unspent after `LEASE_S` goes back.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.tables import RateCount
from chorus.accounts.window import WINDOW_S, Count
from chorus.db import Database

log = logging.getLogger(__name__)

SHARE = 1 / 16
LEASE_S = 5.0
WITHIN_S = 2.0
ASKS_AGAIN_S = 1.0
"""A name that the database had nothing for, and after a failure any name, is asked for once in
this time at most."""
GIVE_BACK_EVERY_S = 2.5

_TABLE = cast("sa.Table", RateCount.__table__)
_CLOCK = sa.func.extract("epoch", sa.func.clock_timestamp())
_LOOK = (
    sa.select(_TABLE.c.minute, _TABLE.c.given, _TABLE.c.before, _CLOCK.label("now"))
    .where(_TABLE.c.name == sa.bindparam("of"))
    .with_for_update()
)
_ENTER = postgresql.insert(_TABLE).on_conflict_do_nothing()
_WRITE = sa.update(_TABLE).where(_TABLE.c.name == sa.bindparam("of"))
_SAME = _TABLE.c.minute == sa.bindparam("of_minute")
_GIVE_BACK = (
    sa.update(_TABLE)
    .where(
        _TABLE.c.name == sa.bindparam("of"),
        sa.or_(_SAME, _TABLE.c.minute == sa.bindparam("of_minute") + 1),
    )
    .values(
        given=sa.case((_SAME, _TABLE.c.given - sa.bindparam("unspent")), else_=_TABLE.c.given),
        before=sa.case((_SAME, _TABLE.c.before), else_=_TABLE.c.before - sa.bindparam("unspent")),
    )
)


@dataclass(slots=True)
class Lease:
    """What this process may spend of a name's minute. `count` is what had been given out then,
    this lease included, when `past_s` of the minute were over. `taken_at` and `ends_at` are on
    the monotonic clock."""

    limit: int
    unspent: int
    count: Count
    past_s: float
    taken_at: float
    ends_at: float

    @property
    def elsewhere(self) -> int:
        """What the minute had left besides."""
        return max(0, math.floor(self.limit - self.count.weighed(self.past_s)))


@dataclass(slots=True)
class _Held:
    lease: Lease | None = None
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Leases:
    """`now` is the database's clock, in Unix seconds, where a test has one of its own."""

    def __init__(
        self,
        database: Database,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._now = now
        self._held: dict[str, _Held] = {}
        self._failed_at: float | None = None

    async def take(self, name: str, limit: int) -> tuple[bool, Lease] | None:
        """Spend one request of `name`: whether there was one, and what is known of its minute.
        None if the database does not answer within `WITHIN_S`, or did not a moment ago: whoever
        asks has to count alone."""
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = _Held()
        if (spent := self._spend(held, limit)) is not None:
            return spent
        if self._failed_at is not None and self._monotonic() < self._failed_at + ASKS_AGAIN_S:
            return None
        held.waiting += 1
        try:
            async with asyncio.timeout(WITHIN_S), held.asking:
                # Another may have asked for this one too.
                if (spent := self._spend(held, limit)) is None:
                    await self._ask(name, held, limit)
                    spent = self._spend(held, limit)
        except (SQLAlchemyError, OSError) as failure:  # a timeout is an OSError
            if self._failed_at is None:
                log.error("requests are counted by each process for itself: %r", failure)
            self._failed_at = self._monotonic()
            return None
        finally:
            held.waiting -= 1
        self._failed_at = None
        return spent

    async def give_back(self, *, everything: bool = False) -> None:
        """What was not spent of leases that are older than `LEASE_S`."""
        now = self._monotonic()
        back: list[dict[str, object]] = []
        for name, held in list(self._held.items()):
            lease = held.lease
            young = lease is not None and now - lease.taken_at < LEASE_S
            if held.waiting or (young and not everything):
                continue
            # Before the statement, so that nothing of it is spent meanwhile.
            del self._held[name]
            if lease is not None and lease.unspent and now < lease.ends_at:
                back.append(_of(name, lease))
        if back:
            # In the same order everywhere: two that hold each other's rows would wait for ever.
            back.sort(key=lambda each: str(each["of"]))
            async with self._database.writing() as session:
                for each in back:
                    await session.execute(_GIVE_BACK, each)

    def _spend(self, held: _Held, limit: int) -> tuple[bool, Lease] | None:
        """None where the database has to be asked."""
        lease, now = held.lease, self._monotonic()
        if lease is None or lease.limit != limit or now >= lease.ends_at:
            return None
        if lease.unspent:
            lease.unspent -= 1
            return True, lease
        if not lease.elsewhere and now < lease.taken_at + ASKS_AGAIN_S:
            return False, lease
        return None

    async def _ask(self, name: str, held: _Held, limit: int) -> None:
        old, held.lease = held.lease, None
        asked_at = self._monotonic()
        async with self._database.writing() as session:
            if old is not None and old.unspent and asked_at < old.ends_at:
                # Of a limit that was changed.
                await session.execute(_GIVE_BACK, _of(name, old))
            row = await self._locked(session, name)
            now = float(row.now) if self._now is None else self._now()
            minute, past_s = divmod(now, WINDOW_S)
            count = Count(row.minute, row.given, row.before)
            if count.minute == minute + 1:
                # The clock was read before the row was free, and others were in the next minute.
                past_s = 0.0
            else:
                # A row of later was written before the clock was set back, and counts nothing.
                count.move_to(int(minute))
            free = math.floor(limit - count.weighed(past_s))
            lent = max(0, min(free, max(held.waiting, math.ceil(free * SHARE))))
            count.now += lent
            new = {"minute": count.minute, "given": count.now, "before": count.before}
            await session.execute(_WRITE.values(new), {"of": name})
        # Counted from before it was asked, so it is over here no later than there.
        ends_at = asked_at + WINDOW_S - past_s
        held.lease = Lease(limit, lent, count, past_s, asked_at, ends_at)

    async def _locked(self, session: AsyncSession, name: str) -> Any:
        row = (await session.execute(_LOOK, {"of": name})).first()
        if row is None:
            empty = {"name": name, "minute": 0, "given": 0, "before": 0}
            await session.execute(_ENTER, empty)
            row = (await session.execute(_LOOK, {"of": name})).one()
        return row


async def sweep(database: Database) -> None:
    """Delete the rows of names that nobody asked for in the minute before this one: they would
    begin at nothing."""
    if database.settings.is_sqlite:
        return
    async with database.writing() as session:
        past = sa.cast(sa.func.floor(_CLOCK / WINDOW_S), sa.BigInteger) - 1
        await session.execute(sa.delete(_TABLE).where(_TABLE.c.minute < past))


def _of(name: str, lease: Lease) -> dict[str, object]:
    return {"of": name, "of_minute": lease.count.minute, "unspent": lease.unspent}
