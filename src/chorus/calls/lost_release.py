"""A call whose process died while its carrier was to connect the caller with somebody else.

Where the carrier has, the two talk, and nothing more is to be done: the call was released
(`released.py`) and ends as `transferred`, and nobody hangs it up. Where it has not, one of them may
wait in silence for somebody who will not come, so both are hung up, as of any lost call.

What is written down decides where it can: the event `leg_transferred`. It lacks where the process
died before it had the carrier's answer; then the carrier is asked, as durable work, if it can be.
Until it has answered the call is this process's, which ends it as a lost one if nothing comes of
that within `recover.UNHELD_S`. The two may have parted by then, and the carrier have told nobody:
so it is asked at once what the call lasted.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls import journal, lost, transfer_record
from chorus.calls.released import RELEASED, UNTOLD_S, expect_end
from chorus.calls.status import end
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow, Transfer
from chorus.durable.work import Queue, Retries, Workflow, step
from chorus.lines.carrier import AskableCarrier, CarrierFailed
from chorus.talk.timeline import Happening

log = logging.getLogger(__name__)

Fate = Literal["lost", "released", "unknown"]

ASK_S = 4.0
RETRIES = Retries(attempts=3, first_wait_s=1.0)
"""Of asking a carrier, each for `ASK_S`: less than `recover.UNHELD_S` in all."""
UNDECIDED = "the server died while the carrier was to connect the caller with somebody else"
_CONNECTED = "the carrier has connected the two"


async def fate(session: AsyncSession, switchboard: Switchboard, call_id: uuid.UUID) -> Fate:
    """What became of a call that nobody holds; `unknown`: its carrier knows, and can be asked."""
    call = await session.get(CallRow, call_id)
    if call is None or call.transfer_status is None:
        return "lost"
    transfer = await _transfer(session, call_id)
    if transfer is None:
        return "lost"
    if await _is_released(session, transfer):
        return "released"
    askable = isinstance(switchboard.carriers.get(call.provider), AskableCarrier)
    return "unknown" if askable and await _was_to_release(session, transfer) else "lost"


async def ask(
    session: AsyncSession,
    switchboard: Switchboard,
    call_id: uuid.UUID,
    only_if: sa.ColumnElement[bool],
) -> None:
    """Have its carrier asked once the transaction has committed. The call is this process's."""
    transfer = await _transfer(session, call_id)
    assert transfer is not None  # `fate` has seen it, in this transaction
    await session.execute(
        sa.update(CallRow)
        .where(CallRow.id == call_id, CallRow.ended_at.is_(None), only_if)
        .values(lease_owner=switchboard.heartbeat.name)
        .execution_options(synchronize_session=False)
    )
    # One for both calls: what the carrier says of the one is true of the other.
    id = str(transfer.id)
    await switchboard.durable.enqueue(session, DECIDE, id, id=f"lost_release:{id}")


async def decide(switchboard: Switchboard, transfer_id: str) -> None:
    id = uuid.UUID(transfer_id)
    try:
        connected = await step(_connected, switchboard, id, retries=RETRIES)
    except Exception as failure:
        log.warning("transfer %s: whether the carrier did it is not known: %s", id, failure)
        connected = False
    await step(_end_both, switchboard, id, connected)


DECIDE = Workflow("lost_release", decide, Queue("lost-release", at_once=10))


async def end_released(
    session: AsyncSession,
    switchboard: Switchboard,
    call_id: uuid.UUID,
    only_if: sa.ColumnElement[bool] | None = None,
    ask_in_s: float = UNTOLD_S,
) -> bool:
    """End a call with which its carrier goes on, or went on: if it has not told before, it is asked
    in `ask_in_s` what the call lasted. False, and nothing changed, if it is over already or
    `only_if` does not hold."""
    still = [CallRow.id == call_id, CallRow.ended_at.is_(None)]
    if only_if is not None:
        still.append(only_if)
    call = await session.scalar(sa.select(CallRow).where(*still).with_for_update())
    if call is None:
        return False
    transfer = await _transfer(session, call_id)
    if transfer is not None and transfer.call_id == call_id:
        await transfer_record.move(session, switchboard, transfer.id, "connected")
    last_ms = await session.scalar(
        sa.select(sa.func.max(CallEvent.at_ms)).where(CallEvent.call_id == call_id)
    )
    if not await _has(session, [call_id], RELEASED):
        happened = Happening(last_ms or 0, RELEASED, {"leg": "caller"})
        await journal.write(session, call_id, call.organization_id, [happened])
    ended = await end(
        session,
        switchboard,
        call_id,
        call.organization_id,
        "completed",
        "transferred",
        detail=_CONNECTED,
        at_ms=last_ms or 0,
        **await lost.record(session, call_id),
    )
    if ended:
        await expect_end(session, switchboard, call_id, ask_in_s)
    return ended


async def _connected(switchboard: Switchboard, transfer_id: uuid.UUID) -> bool:
    """Whether its carrier has connected the two. Raises `CarrierFailed` and `SecretsUnreadable`."""
    async with switchboard.database.reading() as session:
        transfer = await session.get(Transfer, transfer_id)
        if transfer is None:
            return False
        first = await session.get(CallRow, transfer.call_id)
        second = None
        if transfer.leg_id is not None:
            second = await session.get(CallRow, transfer.leg_id)
        if first is None or first.call_sid is None:
            return False
        found = await lost.carrier_of(session, switchboard, first)
    if found is None:
        return False
    carrier, connection = found
    if not isinstance(carrier, AskableCarrier):
        return False
    other_sid = second.call_sid if second else None
    if transfer.leg_id is not None and other_sid is None:
        return False
    try:
        async with asyncio.timeout(ASK_S):
            return await carrier.has_connected(connection, str(first.id), first.call_sid, other_sid)
    except TimeoutError as late:
        raise CarrierFailed(f"no answer within {ASK_S:g} s") from late


async def _end_both(switchboard: Switchboard, transfer_id: uuid.UUID, connected: bool) -> None:
    async with switchboard.database.reading() as session:
        transfer = await session.get(Transfer, transfer_id)
    for call_id in () if transfer is None else (transfer.call_id, transfer.leg_id):
        if call_id is None:
            continue
        async with switchboard.database.writing() as session:
            call = await session.get(CallRow, call_id)
            if call is None:
                continue
            if connected:
                await end_released(session, switchboard, call_id, ask_in_s=0)
            elif await lost.end_lost(
                session, switchboard, call_id, call.organization_id, UNDECIDED
            ):
                log.warning("call %s is hung up: %s", call_id, UNDECIDED)


async def _transfer(session: AsyncSession, call_id: uuid.UUID) -> Transfer | None:
    """The call's last one, whichever of the two it is."""
    return await session.scalar(
        sa.select(Transfer)
        .where(sa.or_(Transfer.call_id == call_id, Transfer.leg_id == call_id))
        .order_by(Transfer.created_at.desc())
        .limit(1)
    )


async def _is_released(session: AsyncSession, transfer: Transfer) -> bool:
    """By what is written down of either call: that of the other may have been lost."""
    return await _has(session, [transfer.call_id, transfer.leg_id], RELEASED)


async def _has(session: AsyncSession, ids: list[uuid.UUID | None], kind: str) -> bool:
    found = await session.scalar(
        sa.select(CallEvent.id)
        .where(CallEvent.call_id.in_([id for id in ids if id is not None]), CallEvent.kind == kind)
        .limit(1)
    )
    return found is not None


async def _was_to_release(session: AsyncSession, transfer: Transfer) -> bool:
    """Whether the carrier may have been asked to connect the two."""
    if transfer.leg_id is None:  # it calls the person itself
        return transfer.status in ("ringing", "connected")
    if transfer.status not in ("connected", "completed"):
        return False
    wish = await session.scalar(
        sa.select(CallEvent.data)
        .where(CallEvent.call_id == transfer.call_id, CallEvent.kind == "transfer_initiated")
        .order_by(CallEvent.seq.desc())
        .limit(1)
    )
    return wish is not None and wish.get("merge") == "release"
