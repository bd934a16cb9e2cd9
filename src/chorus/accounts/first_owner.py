"""The first owner of an organization that has no members yet: the link that `chorus serve` prints.

The link's token is a signature of the organization's id, so every process of an installation knows
the same one and nothing is stored. It holds for as long as nobody can log in to the organization:
with the first owner it ends by itself.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.accounts.tables import Member, Organization
from chorus.db import Database
from chorus.errors import not_found

_PURPOSE = "first owner"


def token_of(secrets: Secrets, organization_id: uuid.UUID) -> str:
    return organization_id.hex + secrets.sign(_PURPOSE, organization_id.hex)


async def pending(database: Database, secrets: Secrets) -> str | None:
    """The token for the installation's oldest organization, None where somebody can log in."""
    async with database.reading() as session:
        oldest = await session.scalar(
            sa.select(Organization.id).order_by(Organization.created_at, Organization.id).limit(1)
        )
        if oldest is None or await _has_members(session, oldest):
            return None
    return token_of(secrets, oldest)


async def claimed(session: AsyncSession, secrets: Secrets, token: str) -> Organization:
    """Whose first owner whoever shows the token may become; locked. Raises `Error` 404 for a
    token that is none, and once there is a member."""
    try:
        organization_id = uuid.UUID(token[:32])
    except ValueError:
        raise not_found("Invitation") from None
    if not secrets.verify(_PURPOSE, organization_id.hex, token[32:]):
        raise not_found("Invitation")
    organization = await session.scalar(
        sa.select(Organization).where(Organization.id == organization_id).with_for_update()
    )
    if organization is None or await _has_members(session, organization_id):
        raise not_found("Invitation")
    return organization


async def _has_members(session: AsyncSession, organization_id: uuid.UUID) -> bool:
    """Such as can log in: an invitation that nobody accepted shuts nobody out."""
    found = sa.exists().where(
        Member.organization_id == organization_id, Member.identity_id.is_not(None)
    )
    return bool(await session.scalar(sa.select(found)))
