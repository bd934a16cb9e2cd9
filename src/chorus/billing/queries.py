"""Reading the ledger, line by line."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.billing.prices import MILLION, UNITS
from chorus.billing.schemas import LedgerLineOut, LedgerQuery
from chorus.billing.tables import LedgerLine
from chorus.wire import Found

# As rows of the table, not as objects: what is summed and listed is read only.
_MOST_WITHOUT_PRICE = 20
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


async def without_price(session: AsyncSession, since: datetime) -> list[tuple[str, str]]:
    """Meter and engine of what was used since then, by any organization, and has no price."""
    query = (
        sa.select(LedgerLine.meter, LedgerLine.engine)
        .where(
            LedgerLine.kind == "charge",
            LedgerLine.price_micros.is_(None),
            LedgerLine.created_at >= since,
        )
        .distinct()
        .order_by(LedgerLine.meter, LedgerLine.engine)
        .limit(_MOST_WITHOUT_PRICE)
    )
    return [(str(meter), str(engine)) for meter, engine in (await session.execute(query)).all()]
