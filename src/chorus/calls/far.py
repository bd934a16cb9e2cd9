"""Lists of calls that begin far behind: how many calls each hour has is known (`CallHour`), so an
offset of half a million is not walked through call by call.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.calls.schemas import CallQuery
from chorus.calls.tables import ALL_AGENTS, CallHour, CallRow
from chorus.db import UtcDateTime

FAR = 200_000
"""Up to here walking is sooner done than adding up a year of hours."""

_HOUR = timedelta(hours=1)
_calls = cast("sa.Table", CallRow.__table__).c
_hours = cast("sa.Table", CallHour.__table__).c


async def skipped(
    session: AsyncSession, organization_id: uuid.UUID, wanted: CallQuery
) -> lists.Skipped | None:
    """The whole hours that `offset` skips. None where it is not far, or where the sums do not know
    the filters: searches, a direction, a number, a list that begins within an hour."""
    oldest_first = wanted.sort == "createdAt"
    begins = wanted.from_ if oldest_first else wanted.to
    unknown = (wanted.wanted, wanted.text, wanted.direction, wanted.phone_number_id)
    if wanted.offset < FAR or any(unknown) or (begins is not None and begins != _hour(begins)):
        return None
    over = [
        _hours.organization_id == organization_id,
        _hours.agent_id == (wanted.agent_id or ALL_AGENTS),
    ]
    under_way = [_calls.organization_id == organization_id, _calls.ended_at.is_(None)]
    if wanted.agent_id is not None:
        under_way.append(_calls.agent_id == wanted.agent_id)
    for value, of_hours, of_calls in (
        (wanted.status, _hours.status, _calls.status),
        (wanted.ended_reason, _hours.reason, _calls.ended_reason),
    ):
        if value is not None:
            over.append(of_hours == value)
            under_way.append(of_calls == value)
    if begins is not None:
        over.append(_hours.hour >= begins if oldest_first else _hours.hour < begins)
        under_way.append(
            _calls.created_at >= begins if oldest_first else _calls.created_at < begins
        )
    sqlite = session.get_bind().dialect.name == "sqlite"
    each = sa.union_all(
        sa.select(_hours.hour.label("hour"), _hours.calls.label("calls")).where(*over),
        sa.select(_hour_of(_calls.created_at, sqlite), sa.literal(1)).where(*under_way),
    ).subquery()
    hours = (
        sa.select(each.c.hour, sa.func.sum(each.c.calls).label("calls"))
        .group_by(each.c.hour)
        .subquery()
    )
    order = hours.c.hour if oldest_first else hours.c.hour.desc()
    running = sa.select(
        hours.c.hour, sa.func.sum(hours.c.calls).over(order_by=order).label("through")
    ).subquery()
    last = running.c.hour.desc() if oldest_first else running.c.hour
    found = await session.execute(
        sa.select(running.c.hour, running.c.through)
        .where(running.c.through < wanted.offset)
        .order_by(last)
        .limit(1)
    )
    row = found.first()
    if row is None:
        return None
    hour: datetime = row.hour
    return lists.Skipped(int(row.through), hour + _HOUR if oldest_first else hour)


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _hour_of(at: sa.ColumnElement[datetime], sqlite: bool) -> sa.ColumnElement[datetime]:
    """As the sums have it (migration 0030)."""
    if sqlite:
        form = sa.literal_column("'%Y-%m-%d %H:00:00.000000'", sa.String)
        return sa.func.strftime(form, at, type_=UtcDateTime)
    hour, utc = (sa.literal_column(f"'{name}'", sa.String) for name in ("hour", "UTC"))
    return sa.func.date_trunc(hour, at, utc, type_=UtcDateTime)
