"""The record of a transfer: its row, what its call and its second call show of it, and who is told.

    initiated → ringing → briefing → connected → completed
    and from each of the first three: failed, declined, no_answer, cancelled

It moves only forward, here and nowhere else, in a transaction with everything that shows it. The
process that holds the call moves it; when a call ends, whoever ends it, what is still open of its
transfers ends in the same transaction (`close_open`), so that a process that dies leaves none.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls.tables import CallRow, Transfer
from chorus.db import utcnow
from chorus.talk.transfer import FINAL, Status, Wish
from chorus.webhooks import announce

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard

_ORDER: tuple[Status, ...] = ("initiated", "ringing", "briefing", "connected")
assert set(_ORDER) | FINAL == set(get_args(Status))


async def begin(
    session: AsyncSession,
    id: uuid.UUID,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    wish: Wish,
) -> None:
    transfer = Transfer(
        id=id,
        organization_id=organization_id,
        call_id=call_id,
        name=wish.target.name,
        number=wish.target.number,
        type=wish.target.type,
        by=wish.by,
        status="initiated",
    )
    session.add(transfer)
    await session.flush()
    await session.execute(
        sa.update(CallRow)
        .where(CallRow.id == call_id)
        .values(transfer_type=wish.target.type, transfer_status="initiated")
        .execution_options(synchronize_session=False)
    )


async def placed(
    session: AsyncSession, switchboard: Switchboard, id: uuid.UUID, leg_id: uuid.UUID
) -> None:
    """There is a second call: the person is being called."""
    transfer = await session.get_one(Transfer, id)
    transfer.leg_id = leg_id
    await session.flush()
    await announce.transfer(session, switchboard, transfer, "transfer.started")


async def move(
    session: AsyncSession, switchboard: Switchboard, id: uuid.UUID, status: Status, detail: str = ""
) -> bool:
    """False, and nothing changed, if it is there already, further on, or over."""
    now = utcnow()
    values: dict[str, object] = {"status": status, "detail": detail or None}
    if status == "connected":
        values["connected_at"] = now
    if status in FINAL:
        values["ended_at"] = now
    # Its call's row first, which whoever ends that call has changed before it comes here: two
    # processes that did it in different orders would wait for each other.
    of = sa.select(Transfer.call_id).where(Transfer.id == id).scalar_subquery()
    await session.execute(
        sa.select(CallRow.id).where(CallRow.id == of).with_for_update(key_share=True)
    )
    moved = await session.execute(
        sa.update(Transfer)
        .where(Transfer.id == id, Transfer.status.in_(_before(status)))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined] # an UPDATE yields a CursorResult
        return False
    transfer = await session.get_one(Transfer, id, populate_existing=True)
    shown = [transfer.call_id] if transfer.leg_id is None else [transfer.call_id, transfer.leg_id]
    await session.execute(
        sa.update(CallRow)
        .where(CallRow.id.in_(shown))
        .values(transfer_status=status)
        .execution_options(synchronize_session=False)
    )
    if status == "ringing" and transfer.leg_id is None:
        await announce.transfer(session, switchboard, transfer, "transfer.started")
    if status in FINAL:
        event = "transfer.completed" if status == "completed" else "transfer.failed"
        await announce.transfer(session, switchboard, transfer, event)
    return True


async def close_open(session: AsyncSession, switchboard: Switchboard, call_id: uuid.UUID) -> None:
    """The call is over, and so are its transfers."""
    found = await session.execute(
        sa.select(Transfer.id, Transfer.status).where(
            Transfer.call_id == call_id, Transfer.ended_at.is_(None)
        )
    )
    for id, status in found.all():
        if status == "connected":
            await move(session, switchboard, id, "completed")
        else:
            await move(session, switchboard, id, "cancelled", "the caller's call ended")


def _before(status: Status) -> tuple[Status, ...]:
    if status == "completed":
        return ("connected",)
    if status in FINAL:
        return _ORDER[:-1]
    return _ORDER[: _ORDER.index(status)]
