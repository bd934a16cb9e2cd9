"""API keys: made, looked up, changed, revoked.

A key is shown once, when it is made; the table has its hash. Look-ups are cached for a few
seconds by `KeyRing`, so that a busy client costs no query a request; a key revoked in this
process is forgotten at once, one revoked by another process at the latest when the cache ends.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.principal import SCOPES, Principal, role_of_key
from chorus.accounts.ring import CACHE_S, Ring
from chorus.accounts.secrets import digest
from chorus.accounts.tables import ApiKey, Organization
from chorus.db import Database, after_commit, listed, named_like, scoped, utcnow
from chorus.errors import not_found

__all__ = ["CACHE_S", "SCOPES", "KeyRing", "Principal"]

PREFIXES = ("sk_live_", "chorus_")


def _kept(key: str) -> str:
    """What is stored of a key in clear: its form and four characters."""
    form = next((prefix for prefix in PREFIXES if key.startswith(prefix)), PREFIXES[0])
    return key[: len(form) + 4]


def new_key() -> str:
    return PREFIXES[0] + secrets.token_urlsafe(32)


async def create(
    session: AsyncSession,
    organization_id: uuid.UUID,
    name: str,
    *,
    key: str | None = None,
    scopes: tuple[str, ...] = SCOPES,
    rate_limit_per_minute: int | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and the key itself, which cannot be had again."""
    key = key or new_key()
    row = ApiKey(
        organization_id=organization_id,
        name=name,
        hash=digest(key),
        prefix=_kept(key),
        scopes=None if set(scopes) == set(SCOPES) else list(scopes),
        rate_limit_per_minute=rate_limit_per_minute,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    return row, key


async def list_keys(session: AsyncSession, organization_id: uuid.UUID) -> list[ApiKey]:
    """All that there ever were, the revoked ones too."""
    query = scoped(ApiKey, organization_id).order_by(ApiKey.created_at, ApiKey.id)
    return list((await session.scalars(query)).all())


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    *,
    limit: int,
    offset: int,
    search: str | None = None,
    prefix: str | None = None,
) -> tuple[list[ApiKey], int]:
    """Those that are not revoked. `prefix` may be a whole key, to find which one it is."""
    query = scoped(ApiKey, organization_id).where(ApiKey.revoked_at.is_(None))
    if search:
        query = query.where(named_like(ApiKey.name, search))
    if prefix:
        query = query.where(ApiKey.prefix.startswith(_kept(prefix), autoescape=True))
    return await listed(session, query, ApiKey, limit, offset)


async def one(
    session: AsyncSession, organization_id: uuid.UUID, key_id: uuid.UUID, *, lock: bool = False
) -> ApiKey:
    """One that is not revoked. Raises `Error` 404."""
    query = scoped(ApiKey, organization_id).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise not_found("API key")
    return row


async def change(
    session: AsyncSession,
    ring: KeyRing,
    organization_id: uuid.UUID,
    key_id: uuid.UUID,
    changes: dict[str, Any],
) -> ApiKey:
    row = await one(session, organization_id, key_id, lock=True)
    for name, value in changes.items():
        setattr(row, name, value)
    await session.flush()
    after_commit(session, lambda: ring.forget(key_id))
    return row


async def revoke(session: AsyncSession, organization_id: uuid.UUID, key_id: uuid.UUID) -> bool:
    """Whether there was such a key to revoke. Call `KeyRing.forget` after the commit."""
    row = await session.scalar(
        scoped(ApiKey, organization_id).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    )
    if row is not None:
        row.revoked_at = utcnow()
    return row is not None


class KeyRing:
    """The keys that were used lately, and when."""

    def __init__(self, database: Database, now: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._ring = Ring(self._look_up, now)
        self._used: dict[uuid.UUID, datetime] = {}

    async def principal(self, key: str) -> Principal | None:
        """Whose key this is; None if nobody's, or if it was revoked or has expired."""
        if not key.startswith(PREFIXES) or len(key) > 256:
            return None
        found = await self._ring.get(digest(key))
        if found is None or (found.expires_at and found.expires_at <= utcnow()):
            return None
        self._used[found.id] = utcnow()
        return found

    def forget(self, key_id: uuid.UUID) -> None:
        self._ring.forget(lambda principal: principal.id == key_id)

    def forget_organization(self, organization_id: uuid.UUID) -> None:
        self._ring.forget(lambda principal: principal.organization_id == organization_id)

    async def flush(self) -> None:
        """Write down when keys were last used; called now and then, not in requests."""
        used, self._used = self._used, {}
        if not used:
            return
        async with self._database.writing() as session:
            for key_id, when in used.items():
                await session.execute(
                    sa.update(ApiKey)
                    .where(ApiKey.id == key_id)
                    .values(last_used_at=when, updated_at=ApiKey.updated_at)
                )

    async def _look_up(self, hashed: str) -> Principal | None:
        async with self._database.reading() as session:
            found = await session.execute(
                sa.select(ApiKey, Organization)
                .join(Organization, Organization.id == ApiKey.organization_id)
                .where(ApiKey.hash == hashed, ApiKey.revoked_at.is_(None))
            )
            both = found.one_or_none()
        if both is None:
            return None
        row, organization = both
        scopes = frozenset(row.scopes if row.scopes is not None else SCOPES)
        return Principal(
            kind="key",
            id=row.id,
            name=f"{row.name} ({row.prefix}…)",
            organization_id=row.organization_id,
            role=role_of_key(scopes),
            scopes=scopes,
            limit_per_minute=row.rate_limit_per_minute,
            organization_limit=organization.rate_limit_per_minute,
            suspended=organization.suspended_at is not None,
            expires_at=row.expires_at,
        )
