"""Whose number it is: what the lines ask before anybody is known.

The only queries of phone numbers that are not scoped to a tenant: a carrier's webhook names a
number, and the number names the organization.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.lines.twilio.desk import TwilioAccount
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
    connection: dict[str, Any] = field(repr=False)
    """How the carrier is reached, secrets included, by the API's names."""

    def twilio(self, api_url: str) -> TwilioAccount | None:
        """None for a number of another carrier. `api_url` is the operator's."""
        if self.provider != "twilio":
            return None
        return TwilioAccount(
            account_sid=self.connection["twilioAccountSid"],
            auth_token=self.connection["twilioAuthToken"],
            api_url=api_url,
        )


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


def _route(row: PhoneNumber, secrets: Secrets) -> Route:
    return Route(
        phone_number_id=row.id,
        organization_id=row.organization_id,
        agent_id=row.agent_id,
        number=row.number,
        provider=row.provider,
        connection=queries.connection(row, secrets),
    )
