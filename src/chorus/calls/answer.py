"""An inbound call: from the number that was dialled to a row and a token for its audio.

number → agent → engines loaded? → active? → room? → money? → row `ringing`, with the hash of a
token that the carrier's stream must show. A carrier that asks twice for the same call gets the
same row and a new token.
"""

from __future__ import annotations

import asyncio
import logging
import secrets as random
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa

from chorus.accounts.organizations import is_suspended
from chorus.accounts.secrets import digest
from chorus.agents.snapshot import is_active
from chorus.calls.room import look
from chorus.calls.status import advance
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import utcnow
from chorus.lines.desk import InboundCall
from chorus.numbers.routing import Route

log = logging.getLogger(__name__)

_ASKED_AGAIN_WITHIN = timedelta(seconds=60)
"""A carrier that lost our answer asks again at once; what comes later is a recording of that."""

LOADED_WITHIN_S = 6.0
"""Less, by what the rest of an answer takes, than the carriers' routes wait for one (8 s at least,
so that a carrier which waits for 10 s is told); a caller hears it ring meanwhile."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The call will be answered: its audio shows `token`."""

    call_id: uuid.UUID
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Declined:
    """It will not. `busy`: somebody else may have more luck in a while."""

    reason: str
    busy: bool = False


async def answer(switchboard: Switchboard, route: Route, inbound: InboundCall) -> Taken | Declined:
    if switchboard.refuses:
        return Declined("the server is stopping", busy=True)
    if route.agent_id is None:
        return Declined("the number has no agent")
    try:
        async with asyncio.timeout(LOADED_WITHIN_S):
            await switchboard.loaded()
    except TimeoutError:
        return Declined("the engines are still being loaded", busy=True)
    token = random.token_urlsafe(32)
    forward_token = None
    if inbound.forward_token:
        forward_token = switchboard.secrets.encrypt(inbound.forward_token)
    async with switchboard.database.writing() as session:
        if await is_suspended(session, route.organization_id):
            return Declined("the organization is suspended")
        if not await is_active(session, route.agent_id):
            return Declined("the number's agent is not active")
        # First, for its lock: a carrier may ask twice at once for the same call.
        room = await look(session, route.organization_id, switchboard.settings)
        known = await session.scalar(
            sa.select(CallRow).where(
                CallRow.organization_id == route.organization_id,
                CallRow.provider == route.provider,
                CallRow.call_sid == inbound.leg_id,
            )
        )
        if known is not None:
            if known.answered_at is not None or known.ended_at is not None:
                return Declined("the call was answered before")
            if utcnow() > known.created_at + _ASKED_AGAIN_WITHIN:
                return Declined("the call was announced before, and long ago")
            known.token_hash = digest(token)
            known.forward_token = forward_token
            known.lease_owner = switchboard.heartbeat.name
            return Taken(known.id, token)
        if not room.for_a_call:
            return Declined("the organization has as many calls as it may", busy=True)
        call = CallRow(
            id=uuid.uuid4(),
            organization_id=route.organization_id,
            agent_id=route.agent_id,
            phone_number_id=route.phone_number_id,
            call_sid=inbound.leg_id,
            provider=route.provider,
            direction="inbound",
            status="queued",
            customer_number=_printable(inbound.from_)[:64],
            token_hash=digest(token),
            forward_token=forward_token,
            lease_owner=switchboard.heartbeat.name,
            started_at=utcnow(),
            context_variables=dict(inbound.variables),
        )
        if not await switchboard.admission.admit(session, call):
            return Declined("the balance does not suffice for a call")
        session.add(call)
        await session.flush()
        await advance(session, call.id, call.organization_id, "ringing")
    return Taken(call.id, token)


def _printable(text: str) -> str:
    """What the caller's side wrote as the number: no line breaks and the like, which lists, logs
    and files of others would trip over."""
    return "".join(char for char in text if char.isprintable()).strip()
