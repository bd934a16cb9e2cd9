"""Writing the ledger: charges of calls and top-ups, each with its effect on the balance.

`charge` compares what a call used with what its lines say already and writes a line for each
difference, in the caller's transaction, and adds it to the sums of its day (`sums.py`). So it may
be run again, by anybody, at any time: what was written is not written again, what became known
later is added. Two that do it at once would write the same keys, which the database refuses.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing import balance, sums
from chorus.billing.charges import Charge, Item, Used, charges
from chorus.billing.prices import Meter, PriceList
from chorus.billing.tables import LedgerLine
from chorus.db import utcnow

log = logging.getLogger(__name__)

_told: set[tuple[Meter, str]] = set()
"""Meters and engines of whose missing price the log has it already."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A call to be charged. `called_at`: by this time its price list is chosen, and its usage
    belongs to this day."""

    call_id: uuid.UUID
    organization_id: uuid.UUID
    agent_id: uuid.UUID
    phone_number_id: uuid.UUID | None
    called_at: datetime
    used: Used


async def charge(
    session: AsyncSession, bill: Bill, prices: PriceList, *, from_balance: bool
) -> int:
    """Write what is not written yet; returns the call's cost, the sum of all its lines."""
    # One query, so that the quantities and the sequences are of the same moment.
    rows = await session.execute(
        sa.select(
            LedgerLine.meter,
            LedgerLine.engine,
            LedgerLine.discarded,
            LedgerLine.quantity,
            LedgerLine.amount_micros,
        ).where(
            LedgerLine.call_id == bill.call_id,
            LedgerLine.organization_id == bill.organization_id,
        )
    )
    written, sequences, cost = Counter[Item](), Counter[str](), 0
    for meter, engine, discarded, quantity, micros in rows:
        # Null in top-ups only, which belong to no call.
        assert meter is not None
        assert engine is not None
        assert quantity is not None
        written[Item(cast("Meter", meter), engine, discarded)] += quantity
        sequences[meter] += 1
        cost += micros
    known_meters = set(sequences)
    lines: list[dict[str, Any]] = []
    for due in charges(bill.used, prices):
        more = due.quantity - written[due.item]
        if more > 0:
            line = Charge(due.item, more, due.price)
            if due.price is None:
                _tell_of_no_price(due.item)
            lines.append(_line(bill, line, prices, sequences[due.item.meter], from_balance))
            sequences[due.item.meter] += 1
    added = sum(line["amount_micros"] for line in lines)
    if lines:
        await session.execute(sa.insert(LedgerLine), lines)
        await sums.add(session, lines, known_meters)
    if added and from_balance:
        await balance.move(session, bill.organization_id, -added)
    return cost + added


def _tell_of_no_price(item: Item) -> None:
    """Once in each process."""
    if (item.meter, item.engine) not in _told:
        _told.add((item.meter, item.engine))
        log.warning(
            "there is no price for %s (%s): the cost of calls leaves it out",
            item.engine,
            item.meter,
        )


async def top_up(
    session: AsyncSession, organization_id: uuid.UUID, micros: int, note: str | None = None
) -> LedgerLine:
    """Add to a balance. A negative amount corrects an earlier one."""
    line = LedgerLine(
        organization_id=organization_id,
        kind="top_up",
        amount_micros=micros,
        charged=True,
        note=note,
    )
    session.add(line)
    await session.flush()
    await balance.move(session, organization_id, micros)
    return line


def _line(
    bill: Bill, charge: Charge, prices: PriceList, sequence: int, from_balance: bool
) -> dict[str, Any]:
    item, price = charge.item, charge.price
    return {
        "id": uuid.uuid4(),
        "organization_id": bill.organization_id,
        "kind": "charge",
        "call_id": bill.call_id,
        "meter": item.meter,
        "sequence": sequence,
        "engine": item.engine[:255],
        "discarded": item.discarded,
        "quantity": charge.quantity,
        "price_version": prices.version,
        "price_micros": price.micros if price else None,
        "price_per": price.per if price else None,
        "amount_micros": charge.micros,
        "charged": from_balance,
        "agent_id": bill.agent_id,
        "phone_number_id": bill.phone_number_id,
        "called_at": bill.called_at,
        "created_at": utcnow(),
    }
