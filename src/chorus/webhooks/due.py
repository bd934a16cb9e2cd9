"""Which deliveries are to be tried now, and whose they are.

`due_at` says when a delivery needs somebody. Whoever takes it moves `due_at` on by `LEASE_S` and
writes a try down, in one transaction: until then no other process looks at it, and if the taker
dies it is due again by itself. A try that was lost so counts, or a delivery that brings every
process down would do so for ever; after the first of them the next waits as if it had not been
made, so that processes that die one after the other do not use up all tries in a minute. What
comes of a try is written only if it is still the one under way (`record.py`).

The time is the database's, where there is a server for it: processes on machines whose clocks
differ must agree on what is due. One that is set back makes no try late (`set_back`).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.db import utcnow
from chorus.webhooks.schedule import SCHEDULE_S
from chorus.webhooks.tables import TEST, WebhookAttempt, WebhookDelivery

LEASE_S = 30.0
"""Twice what a try may take."""

AT_ONCE = 64
OF_AN_ORGANIZATION = 32
TO_A_HOST = 8
"""How many tries one process has under way: one that answers slowly must not hold up others."""

_LOST = "the server stopped during this try; the receiver may have got it"

Now = Callable[[AsyncSession], Awaitable[datetime]]


async def database_now(session: AsyncSession) -> datetime:
    if session.get_bind().dialect.name == "sqlite":
        return utcnow()
    now: datetime = (await session.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
    return now


@dataclass(frozen=True, slots=True)
class Taken:
    """A try that is this process's to make. `at`: when it was taken, on the monotonic clock, or
    a little before."""

    delivery_id: uuid.UUID
    attempt_id: uuid.UUID
    organization_id: uuid.UUID
    host: str
    at: float = 0.0


def tries_of(event: str) -> int:
    return 1 if event == TEST else len(SCHEDULE_S)


async def waiting(
    session: AsyncSession,
    now: datetime,
    under_way: Sequence[Taken],
    limit: int,
    *,
    lock: bool = False,
) -> list[Any]:
    """Up to `limit` rows that are due and for which there is room, the longest due first."""
    organizations = Counter(taken.organization_id for taken in under_way)
    hosts = Counter(taken.host for taken in under_way)
    row = WebhookDelivery
    query = sa.select(
        *(row.id, row.organization_id, row.host, row.event, row.tries, row.attempts),
        *(row.attempt_id, row.last_attempt_at),
    )
    if lock:
        query = query.with_for_update(skip_locked=True)
    found: list[Any] = []
    seen = {taken.delivery_id for taken in under_way}
    while len(found) < limit:
        full = [id for id, count in organizations.items() if count >= OF_AN_ORGANIZATION]
        busy = [host for host, count in hosts.items() if count >= TO_A_HOST]
        rows = await session.execute(
            query.where(
                row.due_at <= now,
                row.organization_id.not_in(full),
                row.host.not_in(busy),
                row.id.not_in(seen),
            )
            .order_by(row.due_at)
            .limit(limit)
        )
        looked_at = rows.all()
        for each in looked_at:
            # One that has no room now comes up again when its host or organization is left out.
            if (
                len(found) < limit
                and organizations[each.organization_id] < OF_AN_ORGANIZATION
                and hosts[each.host] < TO_A_HOST
            ):
                organizations[each.organization_id] += 1
                hosts[each.host] += 1
                seen.add(each.id)
                found.append(each)
        if len(looked_at) < limit:
            break
    return found


async def how_many(session: AsyncSession, now: datetime) -> tuple[int, datetime | None]:
    """Deliveries of all organizations that are due and not under way, and since when the oldest."""
    due_at = WebhookDelivery.due_at
    query = sa.select(sa.func.count(), sa.func.min(due_at)).where(due_at <= now)
    count, oldest = (await session.execute(query)).one()
    return count, oldest


async def take(
    session: AsyncSession, now: datetime, under_way: Sequence[Taken], owner: str, limit: int
) -> list[Taken]:
    """Make tries of what is due. In a writing session."""
    at = time.monotonic()
    tries: list[dict[str, Any]] = []
    taken: list[Taken] = []
    for row in await waiting(session, now, under_way, limit, lock=True):
        if row.attempt_id is not None:
            await _mark_lost(session, WebhookAttempt.id == row.attempt_id)
        if row.tries >= tries_of(row.event):
            # The last try was lost with its process.
            await _update(
                session,
                row.id,
                status="failed",
                reason="gave_up",
                due_at=None,
                attempt_id=None,
                last_error=_LOST,
            )
            continue
        if row.attempt_id is not None:
            lost: int = row.tries
            again_at = min(row.last_attempt_at, now) + timedelta(seconds=SCHEDULE_S[lost - 1])
            if again_at > now:
                await _update(session, row.id, attempt_id=None, due_at=again_at)
                continue
        attempt_id = uuid.uuid4()
        tries.append(
            {
                "id": attempt_id,
                "delivery_id": row.id,
                "number": row.attempts + 1,
                "started_at": now,
            }
        )
        await _update(
            session,
            row.id,
            attempt_id=attempt_id,
            owner=owner,
            due_at=now + timedelta(seconds=LEASE_S),
            tries=row.tries + 1,
            attempts=row.attempts + 1,
            last_attempt_at=now,
        )
        taken.append(Taken(row.id, attempt_id, row.organization_id, row.host, at))
    if tries:
        await session.execute(sa.insert(WebhookAttempt), tries)
    return taken


async def take_back(session: AsyncSession, now: datetime, owner: str) -> None:
    """What a process of this name had under way when it died is due at once."""
    mine = sa.and_(
        WebhookDelivery.due_at.is_not(None),
        WebhookDelivery.attempt_id.is_not(None),
        WebhookDelivery.owner == owner,
    )
    await session.execute(sa.update(WebhookDelivery).where(mine).values(due_at=now))


async def set_back(session: AsyncSession, now: datetime) -> None:
    """For when the clock was set back: what was tried last at a time that is yet to come waits
    from now as long as its schedule has it, not until that time has come again."""
    ahead = sa.func.coalesce(WebhookDelivery.last_attempt_at, WebhookDelivery.created_at) > now
    for tries, wait_s in enumerate(SCHEDULE_S):
        latest = now + timedelta(seconds=wait_s)
        await session.execute(
            sa.update(WebhookDelivery)
            .where(
                WebhookDelivery.due_at > latest,
                WebhookDelivery.attempt_id.is_(None),
                WebhookDelivery.tries == tries,
                ahead,
            )
            .values(due_at=latest)
        )


async def give_back(session: AsyncSession, now: datetime, taken: Taken) -> None:
    """A try that is broken off because the process stops: it does not count."""
    mine = await session.execute(
        sa.update(WebhookDelivery)
        .where(
            WebhookDelivery.id == taken.delivery_id,
            WebhookDelivery.attempt_id == taken.attempt_id,
        )
        .values(attempt_id=None, due_at=now, tries=WebhookDelivery.tries - 1)
        .returning(WebhookDelivery.id)
    )
    if mine.first() is not None:
        await _mark_lost(session, WebhookAttempt.id == taken.attempt_id)


async def _mark_lost(session: AsyncSession, which: sa.ColumnElement[bool]) -> None:
    await session.execute(
        sa.update(WebhookAttempt)
        .where(which, WebhookAttempt.duration_ms.is_(None))
        .values(error=_LOST)
    )


async def _update(session: AsyncSession, id: uuid.UUID, **values: Any) -> None:
    await session.execute(
        sa.update(WebhookDelivery)
        .where(WebhookDelivery.id == id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
