"""An organization's balance, and the holds that calls under way have on it.

What is available is the balance less the holds. Every verb that decides by it locks the balance
first, so of two that want the last dollar one gets it. `hold` when a call is let in, `extend`
while it runs, `release` when it is settled.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing.tables import Balance, Hold

_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class Standing:
    """In micro-dollars. A negative balance is what a call used in its last moments beyond what
    was there."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        return self.balance - self.held


async def standing(
    session: AsyncSession, organization_id: uuid.UUID, *, lock: bool = False
) -> Standing:
    """`lock` holds off everybody else who decides by it until the transaction ends."""
    query = sa.select(Balance.amount_micros).where(Balance.organization_id == organization_id)
    amount = await session.scalar(query.with_for_update() if lock else query)
    if amount is None and lock:
        await session.execute(
            _INSERT[session.get_bind().dialect.name](Balance)
            .values(organization_id=organization_id, amount_micros=0)
            .on_conflict_do_nothing()
        )
        amount = await session.scalar(query.with_for_update())
    held = await session.scalar(
        sa.select(sa.func.sum(Hold.amount_micros)).where(Hold.organization_id == organization_id)
    )
    return Standing(amount or 0, int(held or 0))


async def move(session: AsyncSession, organization_id: uuid.UUID, micros: int) -> None:
    """Add to the balance, or take off it; for the ledger alone, with the line that says why."""
    await standing(session, organization_id, lock=True)
    await session.execute(
        sa.update(Balance)
        .where(Balance.organization_id == organization_id)
        .values(amount_micros=Balance.amount_micros + micros)
    )


async def hold(session: AsyncSession, wanted: Hold) -> bool:
    """Keep money for a call; False, and nothing kept, where there is not enough."""
    found = await standing(session, wanted.organization_id, lock=True)
    if found.available < wanted.amount_micros:
        return False
    session.add(wanted)
    await session.flush()
    return True


async def extend(
    session: AsyncSession, organization_id: uuid.UUID, wanted: Mapping[uuid.UUID, int]
) -> set[uuid.UUID]:
    """Raise the holds of an organization's calls to these amounts, as far as the money goes.
    Returns the calls for which it does not suffice; their holds stay as they are."""
    available = (await standing(session, organization_id, lock=True)).available
    rows = await session.execute(
        sa.select(Hold.call_id, Hold.amount_micros).where(Hold.call_id.in_(wanted))
    )
    short: set[uuid.UUID] = set()
    for call_id, amount in rows.all():
        more = wanted[call_id] - amount
        if more > available:
            short.add(call_id)
            continue
        available -= more
        await session.execute(
            sa.update(Hold).where(Hold.call_id == call_id).values(amount_micros=wanted[call_id])
        )
    return short


async def release(session: AsyncSession, call_id: uuid.UUID) -> None:
    await session.execute(sa.delete(Hold).where(Hold.call_id == call_id))
