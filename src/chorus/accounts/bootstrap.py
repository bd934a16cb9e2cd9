"""The first start: an organization and its first API key, made once."""

from __future__ import annotations

import sqlalchemy as sa

from chorus.accounts import keys
from chorus.accounts.principal import FULL
from chorus.accounts.tables import Organization
from chorus.db import Database
from chorus.settings import Settings

_LOCK = 0x43484F53  # beside the migrations' lock


async def bootstrap(database: Database, settings: Settings) -> str | None:
    """Make the first organization and key; returns the key, None where there are some already.

    Safe if several processes start at once: SQLite's write lock, or an advisory lock, lets one
    through and the others find its work.
    """
    async with database.writing() as session:
        if not settings.is_sqlite:
            await session.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if await session.scalar(sa.select(sa.exists().select_from(Organization))):
            return None
        organization = Organization(name="Default")
        session.add(organization)
        await session.flush()
        _, key = await keys.create(
            session,
            organization.id,
            "First key",
            key=settings.bootstrap_api_key,
            scopes=FULL,
        )
        return key
