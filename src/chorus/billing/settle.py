"""Settling a call that is over: its lines, its cost, its hold, in one transaction.

`settle` may be run again and by several at once. `settle_overdue` looks after holds whose call
is over: whatever kept the settling from happening, the money comes free.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

import sqlalchemy as sa

from chorus.billing import balance, ledger
from chorus.billing.tables import Hold
from chorus.calls import used as calls

if TYPE_CHECKING:
    # At run time it comes after the steps of a call's end, of which this is one.
    from chorus.calls.switchboard import Switchboard

log = logging.getLogger(__name__)


class NotOver(Exception):
    """The call is still under way, or does not exist."""


async def settle(switchboard: Switchboard, call_id: uuid.UUID) -> None:
    """Charge a call that is over, set its cost, which is the sum of its lines, and release its
    hold. Raises `NotOver`."""
    admission = switchboard.admission
    async with switchboard.database.writing() as session:
        bill = await calls.bill(session, call_id)
        if bill is None:
            raise NotOver(f"call {call_id} is not over")
        prices = admission.prices.at(bill.called_at)
        cost = await ledger.charge(session, bill, prices, from_balance=admission.charging)
        await calls.set_cost(session, call_id, cost)
        await balance.release(session, call_id)
    switchboard.telemetry.metrics.cost.add(max(0, cost) / 1_000_000)


async def settle_overdue(switchboard: Switchboard) -> int:
    """Settle every call that is over and still holds money; returns how many there were."""
    async with switchboard.database.reading() as session:
        found = await session.scalars(calls.that_are_over(sa.select(Hold.call_id)))
        overdue = list(found.all())
    for call_id in overdue:
        try:
            await settle(switchboard, call_id)
        except NotOver:  # deleted since
            log.warning("call %s is gone and was not settled", call_id)
    if overdue:
        log.warning("%d calls that were over were settled late", len(overdue))
    return len(overdue)
