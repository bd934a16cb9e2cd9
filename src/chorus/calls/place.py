"""Placing an outbound call: what is checked, and the row that is queued."""

from __future__ import annotations

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.agents import queries as agents
from chorus.calls.schemas import CallCreate
from chorus.calls.tables import Call
from chorus.numbers import queries as numbers


async def place(session: AsyncSession, organization_id: uuid.UUID, wish: CallCreate) -> Call:
    """Queue a call. Raises `Error` 404 for an agent or a number that is not there, 400 for an
    agent that is switched off."""
    agent = await agents.one(session, organization_id, wish.agent_id)
    number = await numbers.one(session, organization_id, wish.phone_number_id)
    if not agent.is_active:
        raise errors.invalid_field("agentId", "Agent is not active")
    call = Call(
        organization_id=organization_id,
        agent_id=agent.id,
        phone_number_id=number.id,
        provider=number.provider,
        direction="outbound",
        status="queued",
        customer_number=wish.to,
        context_variables=wish.context_variables,
        meta=wish.metadata,
    )
    session.add(call)
    await session.flush()
    return call
