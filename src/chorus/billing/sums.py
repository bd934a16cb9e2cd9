"""Usage by days and by months: sums of the ledger's charges, so that a year is not added up line by
line.

`add` is called by whoever writes lines, in the same transaction: a line is in the sums exactly if
it is in the ledger. `recount` makes them anew from the ledger alone, and what is read of them is
the same. A sum is kept three times, for the organization, for the agent and for the number, because
the pairs of agents and numbers may be as many as the calls.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing.tables import LedgerLine, UsageDay, UsageMonth

NOBODY = uuid.UUID(int=0)
"""Stands for the number of calls that have none."""

_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_ADDED = ("calls", "first_calls", "quantity", "amount_micros", "discarded_micros")

_days = cast("sa.Table", UsageDay.__table__)
_months = cast("sa.Table", UsageMonth.__table__)
_lines = cast("sa.Table", LedgerLine.__table__).c


async def add(
    session: AsyncSession, lines: Sequence[Mapping[str, Any]], known_meters: set[str]
) -> None:
    """`lines`: new charges of one call, as they are inserted; `known_meters`: those of its lines
    that were there before."""
    sums: dict[str, dict[str, int]] = {}
    for line in sorted(lines, key=lambda line: line["meter"]):
        meter: str = line["meter"]
        if meter not in sums:
            begins = not sums and not known_meters
            sums[meter] = {**dict.fromkeys(_ADDED, 0), "calls": meter not in known_meters}
            sums[meter]["first_calls"] = begins
        sums[meter]["quantity"] += line["quantity"]
        sums[meter]["amount_micros"] += line["amount_micros"]
        sums[meter]["discarded_micros"] += line["amount_micros"] * line["discarded"]
    if not sums:
        return
    line = lines[0]
    called_at: datetime = line["called_at"]
    of = {
        "agent": line["agent_id"],
        "organization": line["organization_id"],
        "phone_number": line["phone_number_id"] or NOBODY,
    }
    # Always in the same order: two calls that settle at once wait for each other, and never in a
    # circle.
    day = called_at.astimezone(UTC).date()
    insert = _INSERT[session.get_bind().dialect.name]
    for table, time, value in ((_days, "day", day), (_months, "month", day.replace(day=1))):
        rows = [
            {
                "organization_id": line["organization_id"],
                "by": by,
                time: value,
                "of_id": id,
                "meter": meter,
                **{name: int(value) for name, value in sums[meter].items()},
            }
            for by, id in of.items()
            for meter in sums
        ]
        adding = insert(table).values(rows)
        more = {name: table.c[name] + adding.excluded[name] for name in _ADDED}
        await session.execute(adding.on_conflict_do_update(index_elements=_key(time), set_=more))


async def recount(session: AsyncSession, organization_id: uuid.UUID) -> int:
    """Make the sums of an organization anew from its ledger; returns how many days' there are.
    Nobody may settle a call meanwhile."""
    for table in (_days, _months):
        await session.execute(sa.delete(table).where(table.c.organization_id == organization_id))
    # Of each call and meter one row, and of each call one that counts it.
    first = sa.func.row_number().over(partition_by=_lines.call_id, order_by=_lines.meter)
    each = (
        sa.select(
            _lines.organization_id,
            day_of(session, _lines.called_at).label("day"),
            _lines.agent_id,
            _lines.phone_number_id,
            _lines.meter,
            sa.case((first == 1, 1), else_=0).label("first"),
            sa.func.sum(_lines.quantity).label("quantity"),
            sa.func.sum(_lines.amount_micros).label("amount"),
            sa.func.sum(sa.case((_lines.discarded.is_(True), _lines.amount_micros), else_=0)).label(
                "discarded"
            ),
        )
        .where(_lines.organization_id == organization_id, _lines.kind == "charge")
        .group_by(
            _lines.organization_id,
            _lines.call_id,
            day_of(session, _lines.called_at),
            _lines.agent_id,
            _lines.phone_number_id,
            _lines.meter,
        )
        .subquery()
        .c
    )
    nobody = sa.literal(NOBODY, sa.Uuid)
    for by, of in (
        ("agent", each.agent_id),
        ("organization", each.organization_id),
        ("phone_number", sa.func.coalesce(each.phone_number_id, nobody, type_=sa.Uuid)),
    ):
        sums = sa.select(
            each.organization_id,
            sa.literal(by),
            each.day,
            of,
            each.meter,
            sa.func.count(),
            sa.func.sum(each.first),
            sa.func.sum(each.quantity),
            sa.func.sum(each.amount),
            sa.func.sum(each.discarded),
        ).group_by(each.organization_id, each.day, of, each.meter)
        await session.execute(sa.insert(_days).from_select([*_key("day"), *_ADDED], sums))
    named = [_days.c[name] for name in ("organization_id", "by", "of_id", "meter")]
    month = _month_of(session, _days.c.day)
    sums = (
        sa.select(*named, month, *(sa.func.sum(_days.c[name]) for name in _ADDED))
        .where(_days.c.organization_id == organization_id)
        .group_by(*named, month)
    )
    names = [*(column.name for column in named), "month", *_ADDED]
    await session.execute(sa.insert(_months).from_select(names, sums))
    count = sa.select(sa.func.count()).where(UsageDay.organization_id == organization_id)
    return await session.scalar(count) or 0


def day_of(session: AsyncSession, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The day in UTC of a time."""
    if session.get_bind().dialect.name == "sqlite":
        return sa.func.date(column, type_=sa.Date)
    return sa.cast(sa.func.timezone(sa.literal_column("'UTC'"), column), sa.Date)


def _month_of(session: AsyncSession, day: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The first day of its month."""
    if session.get_bind().dialect.name == "sqlite":
        return sa.func.date(day, sa.literal_column("'start of month'"), type_=sa.Date)
    at = sa.cast(day, sa.DateTime)
    return sa.cast(sa.func.date_trunc(sa.literal_column("'month'"), at), sa.Date)


def _key(time: str) -> tuple[str, ...]:
    return ("organization_id", "by", time, "of_id", "meter")
