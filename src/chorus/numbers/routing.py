"""Whose number it is: what the lines ask before anybody is known.

The only queries of phone numbers that are not scoped to a tenant: a carrier's webhook names a
number, and what it proves (`lines/`) says which of those that name it, and so which organization.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Organization
from chorus.lines.desk import Connection, RegistrationState
from chorus.numbers import queries
from chorus.numbers.tables import PhoneNumber


@dataclass(frozen=True, slots=True)
class Route:
    """A number as the lines see it."""

    phone_number_id: uuid.UUID
    organization_id: uuid.UUID
    agent_id: uuid.UUID | None
    number: str
    provider: str
    connection: Connection = field(repr=False)


async def of_number(
    session: AsyncSession, provider: str, number: str, secrets: Secrets
) -> list[Route]:
    """All that name this number of a carrier, E.164, at most one of each organization: the oldest
    first, those of suspended organizations last. Raises `SecretsUnreadable`."""
    rows = await session.scalars(_of(provider).where(PhoneNumber.number == number))
    return [_route(row, secrets) for row in rows]


async def by_id(session: AsyncSession, id: uuid.UUID, secrets: Secrets) -> Route | None:
    row = await session.get(PhoneNumber, id)
    return _route(row, secrets) if row else None


async def to_call_from(
    session: AsyncSession, id: uuid.UUID | None, agent_id: uuid.UUID, secrets: Secrets
) -> Route | None:
    """The number that a second call of a call goes out from: the call's own, or, where it has none
    as from a browser, the oldest that its agent answers. Raises `SecretsUnreadable`."""
    row = await _to_call_from(session, id, agent_id)
    return _route(row, secrets) if row else None


async def provider_to_call_from(
    session: AsyncSession, id: uuid.UUID | None, agent_id: uuid.UUID
) -> str | None:
    """The carrier of the number of `to_call_from`."""
    row = await _to_call_from(session, id, agent_id)
    return row.provider if row else None


async def _to_call_from(
    session: AsyncSession, id: uuid.UUID | None, agent_id: uuid.UUID
) -> PhoneNumber | None:
    if id is not None:
        return await session.get(PhoneNumber, id)
    return await session.scalar(
        sa.select(PhoneNumber)
        .where(PhoneNumber.agent_id == agent_id)
        .order_by(PhoneNumber.created_at, PhoneNumber.id)
        .limit(1)
    )


async def of_provider(session: AsyncSession, provider: str, secrets: Secrets) -> list[Route]:
    """All numbers of a carrier, in the order of `of_number`. Raises `SecretsUnreadable`."""
    return [_route(row, secrets) for row in await session.scalars(_of(provider))]


def _of(provider: str) -> sa.Select[PhoneNumber]:
    """Whoever was suspended for naming somebody else's number is not before them."""
    return (
        sa.select(PhoneNumber)
        .join(Organization, Organization.id == PhoneNumber.organization_id)
        .where(PhoneNumber.provider == provider)
        .order_by(Organization.suspended_at.is_not(None), PhoneNumber.created_at, PhoneNumber.id)
    )


def _route(row: PhoneNumber, secrets: Secrets) -> Route:
    return Route(
        phone_number_id=row.id,
        organization_id=row.organization_id,
        agent_id=row.agent_id,
        number=row.number,
        provider=row.provider,
        connection=Connection(str(row.id), row.number, queries.connection(row, secrets)),
    )


async def note_registration(session: AsyncSession, id: uuid.UUID, state: RegistrationState) -> None:
    """Keep how a number stands at its carrier; nothing for one that is gone."""
    stopped = state.state == "stopped"
    shown = {
        "state": state.state,
        "since": state.since.isoformat(),
        "lastError": state.last_error,
        "expiresAt": state.expires_at.isoformat() if state.expires_at else None,
    }
    await session.execute(
        sa.update(PhoneNumber)
        .where(PhoneNumber.id == id)
        .values(registration=sa.null() if stopped else shown, updated_at=PhoneNumber.updated_at)
    )
