"""Whose number it is: what the lines ask before anybody is known.

The only queries of phone numbers that are not scoped to a tenant: a carrier's webhook names a
number, and the number names the organization.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
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


async def by_number(
    session: AsyncSession, provider: str, number: str, secrets: Secrets
) -> Route | None:
    """The route of a carrier's number, E.164. Raises `SecretsUnreadable`."""
    row = await session.scalar(
        sa.select(PhoneNumber).where(PhoneNumber.provider == provider, PhoneNumber.number == number)
    )
    return _route(row, secrets) if row else None


async def by_id(session: AsyncSession, id: uuid.UUID, secrets: Secrets) -> Route | None:
    row = await session.get(PhoneNumber, id)
    return _route(row, secrets) if row else None


async def of_provider(session: AsyncSession, provider: str, secrets: Secrets) -> list[Route]:
    """All numbers of a carrier. Raises `SecretsUnreadable`."""
    rows = await session.scalars(sa.select(PhoneNumber).where(PhoneNumber.provider == provider))
    return [_route(row, secrets) for row in rows]


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
