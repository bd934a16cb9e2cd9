"""API keys: made, looked up, revoked.

A key is shown once, when it is made; the table has its hash. Look-ups are cached for a few
seconds by `KeyRing`, so that a busy client costs no query a request; a key revoked in this
process is forgotten at once, one revoked by another process at the latest when the cache ends.
"""

from __future__ import annotations

import secrets
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.secrets import digest
from chorus.accounts.tables import ApiKey
from chorus.db import Database, scoped, utcnow

PREFIXES = ("sk_live_", "chorus_")
SCOPES = ("read", "write")
CACHE_S = 5.0
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request: a key of an organization, and what the key may do."""

    organization_id: uuid.UUID
    key_id: uuid.UUID
    scopes: frozenset[str]
    rate_limit_per_minute: int | None
    expires_at: datetime | None

    def may(self, scope: str) -> bool:
        return scope in self.scopes


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
    start = next(len(prefix) for prefix in PREFIXES if key.startswith(prefix))
    row = ApiKey(
        organization_id=organization_id,
        name=name,
        hash=digest(key),
        prefix=key[: start + 4],
        scopes=None if set(scopes) == set(SCOPES) else list(scopes),
        rate_limit_per_minute=rate_limit_per_minute,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    return row, key


async def list_keys(session: AsyncSession, organization_id: uuid.UUID) -> list[ApiKey]:
    query = scoped(ApiKey, organization_id).order_by(ApiKey.created_at, ApiKey.id)
    return list((await session.scalars(query)).all())


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
        self._now = now
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._used: dict[uuid.UUID, datetime] = {}

    async def principal(self, key: str) -> Principal | None:
        """Whose key this is; None if nobody's, or if it was revoked or has expired."""
        if not key.startswith(PREFIXES) or len(key) > 256:
            return None
        hashed = digest(key)
        found = self._cached(hashed) or await self._look_up(hashed)
        if found is None or (found.expires_at and found.expires_at <= utcnow()):
            return None
        self._used[found.key_id] = utcnow()
        return found

    def forget(self, key_id: uuid.UUID) -> None:
        for hashed, (_, principal) in list(self._known.items()):
            if principal.key_id == key_id:
                del self._known[hashed]

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

    def _cached(self, hashed: str) -> Principal | None:
        until, principal = self._known.get(hashed, (0.0, None))
        return principal if self._now() < until else None

    async def _look_up(self, hashed: str) -> Principal | None:
        self._known.pop(hashed, None)
        async with self._database.reading() as session:
            row = await session.scalar(
                sa.select(ApiKey).where(ApiKey.hash == hashed, ApiKey.revoked_at.is_(None))
            )
        if row is None:
            return None
        principal = Principal(
            organization_id=row.organization_id,
            key_id=row.id,
            scopes=frozenset(row.scopes if row.scopes is not None else SCOPES),
            rate_limit_per_minute=row.rate_limit_per_minute,
            expires_at=row.expires_at,
        )
        self._known[hashed] = (self._now() + CACHE_S, principal)
        if len(self._known) > _CACHE_SIZE:
            self._known.popitem(last=False)
        return principal
