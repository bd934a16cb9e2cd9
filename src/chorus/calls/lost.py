"""What is done for a call whose process is gone: what was said until then is put on its record,
and its leg is hung up at the carrier, where nobody else would.

The record of a conversation is written by the process that held it, at its end. Of a lost one
there are the events, which lack at most the last half second and what the agent was just saying.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls.status import Final, end
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallEvent, CallRow
from chorus.durable.work import Queue, Retries, Workflow, step
from chorus.lines.carrier import Carrier
from chorus.lines.desk import Connection
from chorus.numbers import routing

log = logging.getLogger(__name__)

RETRIES = Retries(attempts=6, first_wait_s=1.0)
"""Of a carrier that could not end a leg: for half a minute."""


_ROLES = {"turn_committed": "user", "reply_heard": "assistant", "person_said": "person"}


async def record(session: AsyncSession, call_id: uuid.UUID) -> dict[str, Any]:
    """Columns of the call, by its events: `transcript`, `turn_count` and `duration_seconds`, which
    ends with the last thing that is known of it. Empty if it was not talked on."""
    found = await session.execute(
        sa.select(CallEvent.kind, CallEvent.data)
        .where(
            CallEvent.call_id == call_id,
            CallEvent.kind.in_(("answered", *_ROLES)),
        )
        .order_by(CallEvent.seq)
    )
    events = found.all()
    if not events:
        return {}
    last_ms = await session.scalar(
        sa.select(sa.func.max(CallEvent.at_ms)).where(CallEvent.call_id == call_id)
    )
    transcript: list[dict[str, Any]] = []
    for kind, data in events:
        role = _ROLES.get(kind, "")
        text = str(data.get("heard" if role == "assistant" else "text") or "")
        if not text:
            continue
        if role == "user" and transcript and transcript[-1]["role"] == "user":
            # Said around a reply that nobody heard: one turn, as in any transcript.
            transcript[-1]["content"] += f" {text}"
        else:
            transcript.append({"role": role, "content": text})
    return {
        "transcript": transcript,
        "turn_count": sum(line["role"] == "user" for line in transcript),
        "duration_seconds": ((last_ms or 0) + 500) // 1000,
    }


async def end_lost(
    session: AsyncSession,
    switchboard: Switchboard,
    call_id: uuid.UUID,
    organization_id: uuid.UUID,
    detail: str,
    *,
    status: Final = "failed",
    reason: str = "worker_lost",
    only_if: tuple[sa.ColumnElement[bool], ...] = (),
) -> bool:
    """End the call and have its leg hung up. False, and nothing changed, if it is over already or
    `only_if` does not hold."""
    ended = await end(
        session,
        switchboard,
        call_id,
        organization_id,
        status,
        reason,
        detail=detail,
        only_if=only_if,
        **await record(session, call_id),
    )
    if ended:
        await have_leg_ended(session, switchboard, call_id)
    return ended


async def have_leg_ended(
    session: AsyncSession, switchboard: Switchboard, call_id: uuid.UUID
) -> None:
    """Once the session's transaction has committed, by any process that works: the one that saw to
    the call may die itself in the next moment."""
    id = str(call_id)
    await switchboard.durable.enqueue(session, END_LEG, id, id=f"end_leg:{id}")


async def end_leg(switchboard: Switchboard, call_id: str) -> None:
    try:
        await step(hang_up, switchboard, uuid.UUID(call_id), retries=RETRIES)
    except Exception as failure:
        # Whoever answers later is hung up on: the call is over.
        log.warning("the leg of call %s may go on: %s", call_id, failure)


END_LEG = Workflow("end_leg", end_leg, Queue("end-leg", at_once=10))


async def hang_up(switchboard: Switchboard, call_id: uuid.UUID) -> None:
    """Whatever state the leg is in. A carrier whose legs live in the process that held them (SIP,
    browsers) has nothing to end. Raises `CarrierFailed` and `SecretsUnreadable`."""
    async with switchboard.database.reading() as session:
        call = await session.get(CallRow, call_id)
        if call is None or call.call_sid is None:
            return
        found = await carrier_of(session, switchboard, call)
    if found is not None:
        carrier, connection = found
        await carrier.end(connection, call.call_sid)


async def carrier_of(
    session: AsyncSession, switchboard: Switchboard, call: CallRow
) -> tuple[Carrier, Connection] | None:
    """Who has the call's leg, and the settings of its number there; None where the number is gone,
    or has moved to another carrier. Raises `SecretsUnreadable`."""
    if call.phone_number_id is None:
        return None
    route = await routing.by_id(session, call.phone_number_id, switchboard.secrets)
    carrier = switchboard.carriers.get(call.provider)
    if route is None or carrier is None or route.provider != call.provider:
        return None
    return carrier, route.connection
