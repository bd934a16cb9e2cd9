"""Making, changing and deleting phone numbers."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic.alias_generators import to_camel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, in_use
from chorus.accounts.secrets import Secrets
from chorus.agents import queries as agents
from chorus.db import breaks_unique
from chorus.errors import Problem
from chorus.numbers import queries
from chorus.numbers.connection import NAMES, complete
from chorus.numbers.schemas import PhoneNumberCreate
from chorus.numbers.tables import PhoneNumber


async def create(
    session: AsyncSession, organization_id: uuid.UUID, wish: PhoneNumberCreate, secrets: Secrets
) -> PhoneNumber:
    values = {name: getattr(wish, name) for name in PhoneNumberCreate.model_fields}
    number = PhoneNumber(organization_id=organization_id, connection={}, credentials=None)
    await _apply(session, number, values, {}, secrets)
    return number


async def change(
    session: AsyncSession,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    changes: dict[str, Any],
    secrets: Secrets,
) -> PhoneNumber:
    """The settings that result must be complete for the provider that results."""
    number = await queries.one(session, organization_id, id, lock="change")
    stored = queries.connection(number, secrets)
    await _apply(session, number, changes, stored, secrets)
    return number


async def delete(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    """Raises `Error` 409 while a call that is not over uses it. Calls that are over keep its id."""
    number = await queries.one(session, organization_id, id, lock="delete")
    await in_use.refuse(session, number, "phone number")
    await session.delete(number)
    await session.flush()


async def _apply(
    session: AsyncSession,
    number: PhoneNumber,
    values: dict[str, Any],
    stored: dict[str, Any],
    secrets: Secrets,
) -> None:
    sent = {to_camel(name): value for name, value in values.items() if to_camel(name) in NAMES}
    if sent or "provider" in values:
        plain, secret = complete(values.get("provider", number.provider), stored, sent)
        if plain != number.connection:
            number.connection = plain
        if secret != {name: stored[name] for name in stored if name in secret}:
            number.credentials = secrets.encrypt(secret)
        elif not secret:
            number.credentials = None
    for name in ("number", "provider", "agent_id"):
        if name in values:
            setattr(number, name, values[name])
    if "metadata" in values:
        number.meta = values["metadata"]
    if "name" in values:
        number.name = values["name"] or number.number
    if number.agent_id is not None and "agent_id" in values:
        await _require_agent(session, number)
    session.add(number)
    try:
        await session.flush()
    except IntegrityError as error:
        if breaks_unique(error, PhoneNumber, "organization_id", "provider", "number"):
            raise errors.conflict(
                "phone_number_taken",
                "This phone number is already in use",
                Problem("number", "Number is already in use with this provider"),
            ) from None
        # The agent was deleted meanwhile.
        raise errors.invalid_field("agentId", "Agent not found") from None


async def _require_agent(session: AsyncSession, number: PhoneNumber) -> None:
    agent_id = number.agent_id
    assert agent_id is not None
    with session.no_autoflush:
        agent = await agents.find(session, number.organization_id, agent_id)
    if agent is None:
        raise errors.invalid_field("agentId", "Agent not found")
