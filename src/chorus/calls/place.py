"""Placing an outbound call: what is checked, and the row that is queued."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.agents import queries as agents
from chorus.calls.room import look
from chorus.calls.schemas import CallCreate
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.carriers import BY_NAME
from chorus.numbers import queries as numbers
from chorus.wire import at_home

_LATEST = timedelta(days=366)


async def place(
    session: AsyncSession, switchboard: Switchboard, organization_id: uuid.UUID, wish: CallCreate
) -> CallRow:
    """Queue a call. The row is what dispatch works from, so with the transaction the call is
    dialled, now or at its time, whatever becomes of this process. Raises `Error` 404 for an agent
    or a number that is not there, 400 for an agent that is switched off or a carrier without a
    line, 402 if the balance does not suffice, 429 if there is no room for a call and none in
    line."""
    agent = await agents.one(session, organization_id, wish.agent_id)
    number = await numbers.one(session, organization_id, wish.phone_number_id)
    if not agent.is_active:
        raise errors.invalid_field("agentId", "Agent is not active")
    if number.provider not in switchboard.carriers:
        raise errors.invalid_field(
            "phoneNumberId", f"Phone number is of {number.provider}, which places no calls yet"
        )
    if wish.detect_machine and not BY_NAME[number.provider].detects_machines:
        raise errors.invalid_field(
            "detectMachine",
            f"Phone number is of {number.provider}, which does not tell mailboxes from persons",
        )
    to = _dialled(wish.to, number.number)
    now = utcnow()
    at = wish.scheduled_at or now
    later = at > now
    if at > now + _LATEST:
        raise errors.invalid_field("scheduledAt", "Scheduled at must be within a year from now")
    room = await look(session, organization_id, switchboard.settings)
    if later and room.later >= switchboard.settings.max_scheduled_calls:
        raise errors.Error(
            429,
            "too_many_scheduled_calls",
            f"At most {switchboard.settings.max_scheduled_calls} calls may be scheduled at once",
        )
    if not later and not room.in_line:
        raise errors.too_many_calls()
    call = CallRow(
        id=uuid.uuid4(),
        organization_id=organization_id,
        agent_id=agent.id,
        phone_number_id=number.id,
        provider=number.provider,
        direction="outbound",
        status="queued",
        customer_number=to,
        context_variables=wish.context_variables,
        meta=wish.metadata,
        scheduled_at=wish.scheduled_at,
        detect_machine=wish.detect_machine,
    )
    if not await switchboard.admission.admit(session, call):
        raise errors.insufficient_funds()
    session.add(call)
    await session.flush()
    await switchboard.news.tell(session, "calls queued")
    return call


def _dialled(to: str, own: str) -> str:
    if to.startswith("+"):
        return to
    try:
        return at_home(to, own)
    except ValueError as wrong:
        raise errors.invalid_field("to", f"To {wrong}") from None
