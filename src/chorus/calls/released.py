"""What becomes of a call whose far end the carrier has connected with somebody else.

The call is over here, and goes on at the carrier, where it costs. The carrier tells of its end,
whichever process it reaches: what it lasted is counted then, and where it was one of two calls that
were connected, the other one is ended as well, so that nobody stays there alone. News can be lost
(no server was there to be told), so a carrier that has not told by the time at which it must have
ended the call is asked (`ask_over`); where it cannot be asked, the call's events say so.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.billing.settle import settle
from chorus.calls import journal, lost
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow, Transfer
from chorus.calls.used import OVER
from chorus.db import utcnow
from chorus.durable.work import Queue, Retries, Workflow, step
from chorus.lines.carrier import AskableCarrier
from chorus.lines.desk import Progress
from chorus.talk.timeline import Happening
from chorus.talk.transfer import LONGEST_S

log = logging.getLogger(__name__)

RELEASED = "leg_transferred"
UNCOUNTED = "released_uncounted"
UNTOLD_S = LONGEST_S + 300
"""So long after the release a carrier is asked that has not told. Twilio lets two talk for four
hours: in a conference because it is told so, in a `<Dial>` by itself."""
ASK_AGAIN_S = 3600.0
MOST_AGAIN = 24
ASKED = Retries(attempts=4, first_wait_s=1.0)
WRITTEN = Retries(attempts=12, first_wait_s=0.5)
"""For 17 minutes: longer than the record of a call that has just ended may take
(`finish.GIVE_UP_AFTER_S`)."""


async def count_released(switchboard: Switchboard, call_id: str) -> None:
    await step(settle, switchboard, uuid.UUID(call_id))


COUNT_RELEASED = Workflow("count_released", count_released, Queue("count-released", at_once=5))


def maybe(call: CallRow) -> bool:
    """Whether its carrier may have the far end. Cheap: it is asked of every call that ends."""
    return call.transfer_status in ("connected", "completed")


async def over(switchboard: Switchboard, call: CallRow, progress: Progress) -> None:
    """The carrier says that it has ended. Nothing if Chorus held it until then."""
    lasted_s = progress.answered_s
    if lasted_s is None and call.answered_at is not None:
        lasted_s = round((utcnow() - call.answered_at).total_seconds())
    if call.ended_at is not None:
        await _over(switchboard, call.id, lasted_s)
        return
    # Here it has ended in this moment, or the other way round. The carrier says it once.
    id = str(call.id)
    async with switchboard.database.writing() as session:
        await switchboard.durable.enqueue(session, OVER_THERE, id, lasted_s, id=f"over_there:{id}")


async def over_there(switchboard: Switchboard, call_id: str, lasted_s: int | None) -> None:
    try:
        await step(_once_written, switchboard, uuid.UUID(call_id), lasted_s, retries=WRITTEN)
    except Exception as failure:
        log.warning("call %s: what it lasted at its carrier is not counted: %s", call_id, failure)


OVER_THERE = Workflow("over_there", over_there, Queue("over-there", at_once=20))


class NotWritten(Exception):
    """The carrier says that the call is over, and its record does not."""


async def _once_written(switchboard: Switchboard, call_id: uuid.UUID, lasted_s: int | None) -> None:
    async with switchboard.database.reading() as session:
        call = await session.get(CallRow, call_id)
    if call is not None and call.ended_at is None:
        raise NotWritten("its record is not written yet")
    await _over(switchboard, call_id, lasted_s)


async def _over(switchboard: Switchboard, call_id: uuid.UUID, answered_s: int | None) -> None:
    async with switchboard.database.writing() as session:
        call = await session.scalar(
            sa.select(CallRow).where(CallRow.id == call_id).with_for_update()
        )
        if call is None or call.answered_at is None or call.ended_reason != "transferred":
            return
        kinds = await _kinds(session, call_id)
        if RELEASED not in kinds or OVER in kinds:
            return
        lasted_s = max(answered_s or 0, call.duration_seconds or 0)
        happening = Happening(lasted_s * 1000, OVER, {"durationSeconds": lasted_s})
        await journal.write(session, call_id, call.organization_id, [happening])
        id = str(call_id)
        await switchboard.durable.enqueue(session, COUNT_RELEASED, id, id=f"count_released:{id}")
        await switchboard.news.tell(session, "events")
        if (other_id := await _other(session, call_id)) is not None:
            await lost.have_leg_ended(session, switchboard, other_id)


# --- a carrier that does not tell ---------------------------------------------------------------


async def expect_end(
    session: AsyncSession,
    switchboard: Switchboard,
    call_id: uuid.UUID,
    delay_s: float = UNTOLD_S,
) -> None:
    """In the transaction that ends a call: if it was released, its carrier will be asked, for the
    first time in so many seconds."""
    if RELEASED in await _kinds(session, call_id):
        await _ask_later(session, switchboard, call_id, 0, delay_s)


async def _ask_later(
    session: AsyncSession, switchboard: Switchboard, call_id: uuid.UUID, again: int, delay_s: float
) -> None:
    id = str(call_id)
    await switchboard.durable.enqueue(
        session, ASK_OVER, id, again, id=f"ask_over:{id}:{again}", delay_s=delay_s
    )


async def ask_over(switchboard: Switchboard, call_id: str, again: int) -> None:
    """`again`: how often it has been asked before."""
    id = uuid.UUID(call_id)
    try:
        said = await step(_ask, switchboard, id, retries=ASKED)
    except Exception as failure:
        said = {"later": f"it gives no answer: {failure}"}
    await step(_take_note, switchboard, id, again, said)


ASK_OVER = Workflow("ask_over", ask_over, Queue("ask-over", at_once=5))


async def _ask(switchboard: Switchboard, call_id: uuid.UUID) -> dict[str, Any]:
    """What the carrier says: `lastedS` of a call that is over; `later`, why that cannot be said
    yet, or `never`, why not at all. Empty if it has told meanwhile. Raises `CarrierFailed` and
    `SecretsUnreadable`."""
    async with switchboard.database.reading() as session:
        call = await session.get(CallRow, call_id)
        if call is None or call.call_sid is None or OVER in await _kinds(session, call_id):
            return {}
        found = await lost.carrier_of(session, switchboard, call)
    if found is None:
        return {"never": "its number is not at this carrier any more"}
    carrier, connection = found
    if not isinstance(carrier, AskableCarrier):
        return {"never": "it has not told, and Chorus cannot ask it"}
    lasted_s = await carrier.lasted_s(connection, call.call_sid)
    return {"later": "it still goes on there"} if lasted_s is None else {"lastedS": lasted_s}


async def _take_note(
    switchboard: Switchboard, call_id: uuid.UUID, again: int, said: dict[str, Any]
) -> None:
    if "lastedS" in said:
        await _over(switchboard, call_id, said["lastedS"])
    elif "later" in said and again < MOST_AGAIN:
        async with switchboard.database.writing() as session:
            await _ask_later(session, switchboard, call_id, again + 1, ASK_AGAIN_S)
    elif said:
        await _not_counted(switchboard, call_id, said.get("never") or said["later"])


async def _not_counted(switchboard: Switchboard, call_id: uuid.UUID, why: str) -> None:
    async with switchboard.database.writing() as session:
        call = await session.scalar(
            sa.select(CallRow).where(CallRow.id == call_id).with_for_update()
        )
        if call is None or {OVER, UNCOUNTED} & await _kinds(session, call_id):
            return
        happened = Happening((call.duration_seconds or 0) * 1000, UNCOUNTED, {"detail": why})
        await journal.write(session, call_id, call.organization_id, [happened])
        await switchboard.news.tell(session, "events")
    log.warning("call %s: what it lasted at %s is not counted: %s", call_id, call.provider, why)


async def _kinds(session: AsyncSession, call_id: uuid.UUID) -> set[str]:
    found = await session.scalars(
        sa.select(CallEvent.kind).where(
            CallEvent.call_id == call_id, CallEvent.kind.in_((RELEASED, OVER, UNCOUNTED))
        )
    )
    return set(found)


async def _other(session: AsyncSession, call_id: uuid.UUID) -> uuid.UUID | None:
    """The call that this one was connected with, if it goes on at the carrier."""
    found = await session.execute(
        sa.select(Transfer.call_id, Transfer.leg_id).where(
            sa.or_(Transfer.call_id == call_id, Transfer.leg_id == call_id),
            Transfer.status.in_(("connected", "completed")),
        )
    )
    for first, second in found.all():
        other_id = second if first == call_id else first
        if other_id is not None:
            # That it was released may not be written yet; the first of the two is, so it was.
            return None if OVER in await _kinds(session, other_id) else other_id
    return None
