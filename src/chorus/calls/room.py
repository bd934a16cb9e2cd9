"""How many calls an organization may have at once, inbound and outbound together.

A call takes room from the moment in which it was answered for or dialled until it is over. It is
counted under a lock on the organization's row (SQLite: its one write lock), so two calls that
come at once cannot both take the last place. An outbound call that finds no room waits in line
if the organization lets calls wait, and is refused otherwise.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.tables import Organization
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.settings import Settings

UNFINISHED = CallRow.ended_at.is_(None)
TAKES_ROOM = sa.and_(
    UNFINISHED, sa.or_(CallRow.direction == "inbound", CallRow.dialled_at.is_not(None))
)
WAITS = sa.and_(UNFINISHED, CallRow.direction == "outbound", CallRow.dialled_at.is_(None))


@dataclass(frozen=True, slots=True)
class Room:
    """`calls` take room, `waiting` are due and will, `later` are for a time that is to come."""

    calls: int
    waiting: int
    later: int
    max_calls: int
    max_waiting: int

    @property
    def for_a_call(self) -> bool:
        return self.calls < self.max_calls

    @property
    def in_line(self) -> bool:
        """Whether one more may be queued to be dialled now or as soon as there is room."""
        return self.calls + self.waiting < self.max_calls + self.max_waiting


async def look(session: AsyncSession, organization_id: uuid.UUID, settings: Settings) -> Room:
    """What there is, and until the transaction ends nobody else takes any of it."""
    limits = await session.execute(
        sa.select(Organization.max_concurrent_calls, Organization.max_queued_calls)
        .where(Organization.id == organization_id)
        # Not so strong that it would hold off everybody who adds a row of this organization's.
        .with_for_update(key_share=True)
    )
    max_calls, max_waiting = limits.one()
    counted = await session.execute(
        sa.select(
            sa.func.count().filter(TAKES_ROOM),
            sa.func.count().filter(WAITS, due()),
            sa.func.count().filter(WAITS, sa.not_(due())),
        )
        .select_from(CallRow)
        .where(CallRow.organization_id == organization_id, UNFINISHED)
    )
    calls, waiting, later = counted.one()
    if max_calls is None:
        max_calls = settings.max_concurrent_calls
    return Room(calls, waiting, later, max_calls, max_waiting)


def due() -> sa.ColumnElement[bool]:
    return sa.or_(CallRow.scheduled_at.is_(None), CallRow.scheduled_at <= utcnow())


async def waiting(session: AsyncSession) -> int:
    """How many calls of all organizations are due and wait to be dialled."""
    query = sa.select(sa.func.count()).select_from(CallRow)
    return await session.scalar(query.where(WAITS, due(), CallRow.status == "queued")) or 0
