"""Reading the ledger: lines, and sums of what calls used."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.billing.prices import MILLION, UNITS
from chorus.billing.schemas import GroupBy, LedgerLineOut, LedgerQuery, UsageGroup, UsageSums
from chorus.billing.tables import LedgerLine
from chorus.wire import Found

# As rows of the table, not as objects: what is summed and listed is read only.
_lines = cast("sa.Table", LedgerLine.__table__).c


async def page(
    session: AsyncSession, organization_id: uuid.UUID, wanted: LedgerQuery
) -> tuple[list[LedgerLineOut], Found]:
    conditions = [_lines.organization_id == organization_id]
    for column, value in (
        (_lines.call_id, wanted.call_id),
        (_lines.meter, wanted.meter),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.kind is not None:
        # In the text of the statement: else SQLite does not know that an index of top-ups fits.
        conditions.append(_lines.kind == sa.literal_column(f"'{wanted.kind}'"))
    if wanted.from_ is not None:
        conditions.append(_lines.created_at >= wanted.from_)
    if wanted.to is not None:
        conditions.append(_lines.created_at < wanted.to)
    query = sa.select(*_lines).where(*conditions)
    rows, found = await lists.page(session, query, (_lines.created_at, _lines.id), wanted)
    return [shown(row) for row in rows], found


def shown(row: Mapping[Any, Any]) -> LedgerLineOut:
    """A line as the API shows it."""
    price = row["price_micros"]
    return LedgerLineOut.model_validate(
        {
            **row,
            "unit": UNITS[row["meter"]] if row["meter"] else None,
            "unit_price": None if price is None else price / MILLION,
            "amount": row["amount_micros"] / MILLION,
        }
    )


async def usage(
    session: AsyncSession,
    organization_id: uuid.UUID,
    start: datetime,
    end: datetime,
    group_by: GroupBy | None,
) -> list[UsageGroup]:
    """The sums of calls from `start` to before `end`, days and meters in their order, what has
    an id by its cost. None: one group of all."""
    key = _key(session, group_by)
    rows = await session.execute(
        sa.select(key.label("key"), *_SUMS)
        .where(
            _lines.organization_id == organization_id,
            _lines.kind == "charge",
            _lines.called_at >= start,
            _lines.called_at < end,
        )
        .group_by(key)
    )
    groups = [_group(row) for row in rows.mappings()]
    if group_by in ("agent", "phoneNumber"):
        return sorted(groups, key=lambda group: (-group.cost, group.key or ""))
    return sorted(groups, key=lambda group: group.key or "")


async def totals(
    session: AsyncSession, organization_id: uuid.UUID, start: datetime, end: datetime
) -> UsageSums:
    groups = await usage(session, organization_id, start, end, None)
    sums = groups[0] if groups else _group({})
    return UsageSums.model_validate(sums.model_dump(exclude={"key"}))


def _key(session: AsyncSession, group_by: GroupBy | None) -> sa.ColumnElement[Any]:
    match group_by:
        case None:
            return sa.cast(_lines.organization_id, sa.Uuid)
        case "agent":
            return _lines.agent_id
        case "phoneNumber":
            return _lines.phone_number_id
        case "meter":
            return _lines.meter
        case "day" if session.get_bind().dialect.name == "sqlite":
            return sa.func.date(_lines.called_at, type_=sa.String)
        case "day":
            utc = sa.func.timezone(sa.literal_column("'UTC'"), _lines.called_at)
            return sa.func.to_char(utc, sa.literal_column("'YYYY-MM-DD'"), type_=sa.String)


def _sum(column: sa.ColumnElement[int], *conditions: sa.ColumnElement[bool]) -> sa.Function[int]:
    return sa.func.sum(sa.case((sa.and_(sa.true(), *conditions), column), else_=0))


_COUNTED = {
    "telephony_seconds": "telephony",
    "transcription_seconds": "transcription",
    "characters": "voice",
    "input_tokens": "model_input",
    "output_tokens": "model_output",
}
_SUMS = (
    sa.func.count(sa.distinct(_lines.call_id)).label("calls"),
    *(_sum(_lines.quantity, _lines.meter == meter).label(name) for name, meter in _COUNTED.items()),
    _sum(_lines.amount_micros).label("cost"),
    _sum(_lines.amount_micros, _lines.discarded.is_(True)).label("discarded_cost"),
)


def _group(row: Mapping[Any, Any]) -> UsageGroup:
    key = row.get("key")
    return UsageGroup(
        key=None if key is None else str(key),
        calls=row.get("calls", 0),
        cost=int(row.get("cost", 0)) / MILLION,
        discarded_cost=int(row.get("discarded_cost", 0)) / MILLION,
        **{name: int(row.get(name, 0)) for name in _COUNTED},
    )
