"""Signing secrets: an organization's own, and how any of them is replaced.

A secret that is replaced goes on signing beside the new one for a day, which is the time to
bring the new one to the receivers.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import Secrets
from chorus.db import utcnow
from chorus.webhooks.sign import new_secret
from chorus.webhooks.tables import TwoSecrets, WebhookSecret

OVERLAP = timedelta(hours=24)


async def find(session: AsyncSession, organization_id: uuid.UUID) -> WebhookSecret | None:
    return await session.get(WebhookSecret, organization_id)


async def ensure(
    session: AsyncSession, organization_id: uuid.UUID, secrets: Secrets
) -> WebhookSecret:
    """The organization's secret, made now if there is none; two who do so at once get one."""
    found = await find(session, organization_id)
    if found is not None:
        return found
    made = WebhookSecret(organization_id=organization_id, secret=secrets.encrypt(new_secret()))
    try:
        async with session.begin_nested():
            session.add(made)
    except IntegrityError:
        return await session.get_one(WebhookSecret, organization_id)
    return made


def rotate(row: TwoSecrets, secrets: Secrets) -> str:
    """Give `row` a new secret, and return it."""
    fresh = new_secret()
    row.previous_secret, row.previous_until = row.secret, utcnow() + OVERLAP
    row.secret = secrets.encrypt(fresh)
    return fresh


def current(row: TwoSecrets, secrets: Secrets, now: datetime) -> list[str]:
    """The secrets that sign now, the newest first. Raises `SecretsUnreadable`."""
    found = [row.secret]
    if row.previous_secret and row.previous_until and row.previous_until > now:
        found.append(row.previous_secret)
    return [secrets.decrypt(stored) for stored in found]
