"""Reading what calls used: whole months and whole days from their sums, what is before and behind
them from the ledger's lines. By months a year is soon added up, of many agents too."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing.prices import MILLION
from chorus.billing.schemas import GroupBy, UsageGroup, UsageSums
from chorus.billing.sums import NOBODY, day_of
from chorus.billing.tables import LedgerLine, UsageDay, UsageMonth
from chorus.db import utcnow

_lines = cast("sa.Table", LedgerLine.__table__).c
_days = cast("sa.Table", UsageDay.__table__)
_months = cast("sa.Table", UsageMonth.__table__)

_DAY = timedelta(days=1)
_COUNTED = {
    "telephony_seconds": "telephony",
    "transcription_seconds": "transcription",
    "characters": "voice",
    "input_tokens": "model_input",
    "output_tokens": "model_output",
}


async def usage(
    session: AsyncSession,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    group_by: GroupBy | None,
) -> list[UsageGroup]:
    """The sums of calls from `start` to before `end`, days and meters in their order, what has
    an id by its cost. None: one group of all."""
    found: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    now = utcnow()
    queries: list[sa.Select[*tuple[Any, ...]]] = []
    for since, until, whole in _parts(start, end, now):
        if not whole:
            queries.append(_of_lines(session, organization_id, since, until, group_by))
        elif group_by == "day":
            queries.append(_of_sums(_days, organization_id, since, until, group_by))
        else:
            queries += [
                _of_sums(sums, organization_id, first, last, group_by)
                for first, last, sums in _by_months(since, until, now)
            ]
    for query in queries:
        for row in (await session.execute(query)).mappings():
            key = None if row["key"] in (None, NOBODY) else str(row["key"])
            found[key].update({name: int(row[name]) for name in _NAMES})
    groups = [_group(key, sums) for key, sums in found.items()]
    if group_by in ("agent", "phoneNumber"):
        return sorted(groups, key=lambda group: (-group.cost, group.key or ""))
    return sorted(groups, key=lambda group: group.key or "")


async def totals(
    session: AsyncSession, organization_id: uuid.UUID, start: datetime, end: datetime
) -> UsageSums:
    groups = await usage(session, organization_id, start, end, None)
    sums = groups[0] if groups else _group(None, Counter())
    return UsageSums.model_validate(sums.model_dump(exclude={"key"}))


def _parts(
    start: datetime, end: datetime, now: datetime
) -> Iterator[tuple[datetime, datetime, bool]]:
    """The time from `start` to `end` in pieces, and whether each is of whole days. No call was
    answered later than now, so a day that is not over is whole up to now."""
    first = _midnight(start)
    if first < start:
        first += _DAY
    last = _midnight(end) if end < now else _midnight(now) + _DAY
    if first >= last:
        yield start, end, False
        return
    if start < first:
        yield start, first, False
    yield first, last, True
    if last < end and last <= now:
        yield last, end, False


def _by_months(
    start: datetime, end: datetime, now: datetime
) -> Iterator[tuple[datetime, datetime, sa.Table]]:
    """Whole days, of which those that make whole months are taken together. A month that is not
    over is whole up to now."""
    first = start if start.day == 1 else _next_month(start)
    last = _next_month(end) if end > now else end.replace(day=1)
    if first >= last:
        yield start, end, _days
        return
    if start < first:
        yield start, first, _days
    yield first, last, _months
    if last < end:
        yield last, end, _days


def _next_month(day: datetime) -> datetime:
    """The first midnight of the month behind that of `day`, or of what `day` ends."""
    return (day.replace(day=1) + 32 * _DAY).replace(day=1)


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _of_sums(
    table: sa.Table,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    group_by: GroupBy | None,
) -> sa.Select[*tuple[Any, ...]]:
    sums = table.c
    by, name = _SUMS_BY[group_by]
    time, key = sums["month" if table is _months else "day"], sums[name]
    return (
        sa.select(
            key.label("key"),
            # Of several meters together each call counts once, of each by itself in each.
            sa.func.sum(sums.calls if group_by == "meter" else sums.first_calls).label("calls"),
            *_quantities(sums.quantity, sums.meter),
            sa.func.sum(sums.amount_micros).label("cost"),
            sa.func.sum(sums.discarded_micros).label("discarded_cost"),
        )
        .where(
            sums.organization_id == organization_id,
            sums.by == by,
            time >= start.date(),
            time < end.date(),
        )
        .group_by(key)
    )


def _of_lines(
    session: AsyncSession,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    group_by: GroupBy | None,
) -> sa.Select[*tuple[Any, ...]]:
    key = day_of(session, _lines.called_at) if group_by == "day" else _LINES_BY[group_by]
    return (
        sa.select(
            key.label("key"),
            sa.func.count(sa.distinct(_lines.call_id)).label("calls"),
            *_quantities(_lines.quantity, _lines.meter),
            sa.func.sum(_lines.amount_micros).label("cost"),
            _sum(_lines.amount_micros, _lines.discarded.is_(True)).label("discarded_cost"),
        )
        .where(
            _lines.organization_id == organization_id,
            _lines.kind == "charge",
            _lines.called_at >= start,
            _lines.called_at < end,
        )
        .group_by(key)
    )


_SUMS_BY: dict[GroupBy | None, tuple[str, str]] = {
    None: ("organization", "organization_id"),
    "day": ("organization", "day"),
    "meter": ("organization", "meter"),
    "agent": ("agent", "of_id"),
    "phoneNumber": ("phone_number", "of_id"),
}
_LINES_BY: dict[GroupBy | None, sa.ColumnElement[Any]] = {
    None: _lines.organization_id,
    "meter": _lines.meter,
    "agent": _lines.agent_id,
    "phoneNumber": _lines.phone_number_id,
}
_NAMES = ("calls", *_COUNTED, "cost", "discarded_cost")


def _quantities(
    quantity: sa.ColumnElement[int], meter: sa.ColumnElement[str]
) -> list[sa.ColumnElement[int]]:
    return [_sum(quantity, meter == name).label(label) for label, name in _COUNTED.items()]


def _sum(column: sa.ColumnElement[int], condition: sa.ColumnElement[bool]) -> sa.Function[int]:
    return sa.func.sum(sa.case((condition, column), else_=0))


def _group(key: str | None, sums: Counter[str]) -> UsageGroup:
    return UsageGroup(
        key=key,
        calls=sums["calls"],
        cost=sums["cost"] / MILLION,
        discarded_cost=sums["discarded_cost"] / MILLION,
        **{name: sums[name] for name in _COUNTED},
    )
