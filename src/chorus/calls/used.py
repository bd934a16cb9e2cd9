"""What a call that is over used, read from its row and its events, for the ledger.

A call's time is what its conversation says it lasted. One that was lost with its process is
taken to have lasted until the last thing that is known of it: when somebody noticed does not
count. A call that was not answered used nothing. One that was released to its carrier was carried
until that said that it is over.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing.charges import Used, tally
from chorus.billing.ledger import Bill
from chorus.calls.tables import CallEvent, CallRow

OVER = "released_over"
"""The carrier says that a call is over that it went on with after Chorus had left."""
_KINDS = ("answered", "usage", "status_changed", "transcriber_changed", "transcriber_stopped", OVER)


async def bill(session: AsyncSession, call_id: uuid.UUID) -> Bill | None:
    """None while the call is not over. Holds off others that would bill it until the transaction
    ends."""
    call = await session.scalar(sa.select(CallRow).where(CallRow.id == call_id).with_for_update())
    if call is None or call.ended_at is None:
        return None
    return Bill(
        call_id=call.id,
        organization_id=call.organization_id,
        agent_id=call.agent_id,
        phone_number_id=call.phone_number_id,
        called_at=call.answered_at or call.started_at or call.created_at,
        used=await _used(session, call),
    )


async def set_cost(session: AsyncSession, call_id: uuid.UUID, micros: int) -> None:
    await session.execute(
        sa.update(CallRow)
        .where(CallRow.id == call_id)
        .values(cost_micros=micros, updated_at=CallRow.updated_at)
    )


def that_are_over(ids: sa.Select[uuid.UUID]) -> sa.Select[uuid.UUID]:
    """A query for those of `ids` whose calls are over."""
    return sa.select(CallRow.id).where(CallRow.id.in_(ids), CallRow.ended_at.is_not(None))


async def _used(session: AsyncSession, call: CallRow) -> Used:
    mine = CallEvent.call_id == call.id
    found = await session.execute(
        sa.select(CallEvent.kind, CallEvent.at_ms, CallEvent.data)
        .where(mine, CallEvent.kind.in_(_KINDS))
        .order_by(CallEvent.seq)
    )
    events = found.all()
    known = sa.select(sa.func.max(CallEvent.at_ms)).where(mine, CallEvent.kind != OVER)
    last_ms = await session.scalar(known) or 0
    ended_ms = max((at for kind, at, _ in events if kind == "status_changed"), default=0)
    talked_ms = ended_ms or last_ms or (call.duration_seconds or 0) * 1000
    carried_ms = max((at for kind, at, _ in events if kind == OVER), default=0)
    transcriber = next((d.get("transcriber") for kind, _, d in events if kind == "answered"), None)
    return Used(
        provider=call.provider,
        direction=call.direction,
        talked_ms=talked_ms if call.answered_at is not None else 0,
        carried_ms=carried_ms,
        transcriber=transcriber,
        spoken=tally(data for kind, _, data in events if kind == "usage"),
        others=tuple(
            (str(data.get("transcriber") or ""), at)
            for kind, at, data in events
            if kind in ("transcriber_changed", "transcriber_stopped")
        ),
    )
