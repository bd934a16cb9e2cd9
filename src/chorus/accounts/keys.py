"""API keys: made, looked up, changed, revoked.

A key is shown once, when it is made; the table has its hash. Look-ups are cached for a few
seconds by `KeyRing`, so that a busy client costs no query a request; a key that is changed or
revoked is forgotten with the commit, by all processes (`ring.py`).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.accounts.principal import SCOPES, Principal, covers, role_of_key
from chorus.accounts.ring import CACHE_S, Ring, forgotten
from chorus.accounts.schemas import ApiKeyQuery
from chorus.accounts.secrets import digest
from chorus.accounts.tables import ApiKey, Organization
from chorus.db import Database, named_like, scoped, utcnow
from chorus.errors import invalid_field
from chorus.wire import Found

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
    created_by: uuid.UUID | None = None,
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
        created_by=created_by,
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
    wanted: ApiKeyQuery,
) -> tuple[list[ApiKey], Found]:
    """Those that are not revoked. `wanted.prefix` may be a whole key, to find which one it is."""
    query = scoped(ApiKey, organization_id).where(ApiKey.revoked_at.is_(None))
    if search := wanted.wanted:
        query = query.where(named_like(ApiKey.name, search))
    if wanted.prefix:
        query = query.where(ApiKey.prefix.startswith(_kept(wanted.prefix), autoescape=True))
    return await lists.of(session, query, ApiKey, wanted)


async def one(
    session: AsyncSession,
    organization_id: uuid.UUID,
    key_id: uuid.UUID,
    *,
    lock: lists.Lock | None = None,
) -> ApiKey:
    """One that is not revoked. Raises `Error` 404."""
    query = scoped(ApiKey, organization_id).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    return await lists.one(session, query, "API key", lock=lock)


async def change(
    session: AsyncSession,
    ring: KeyRing,
    organization_id: uuid.UUID,
    key_id: uuid.UUID,
    changes: dict[str, Any],
) -> ApiKey:
    row = await one(session, organization_id, key_id, lock="change")
    for name, value in changes.items():
        setattr(row, name, value)
    await session.flush()
    await forgotten(session, lambda: ring.forget(key_id))
    return row


async def revoke(
    session: AsyncSession,
    organization_id: uuid.UUID,
    key_id: uuid.UUID,
    ring: KeyRing | None = None,
) -> list[uuid.UUID]:
    """Revoke a key, and with it every key that it made, and those that they made. Returns which;
    none if there is no such key. With the commit `ring`, this process's if it has one, forgets
    them, and so do other processes."""
    found = [key_id] if await _is_there(session, organization_id, key_id) else []
    revoked: list[uuid.UUID] = []
    while found:
        revoked += found
        await session.execute(
            sa.update(ApiKey)
            .where(ApiKey.id.in_(found))
            .values(revoked_at=utcnow())
            .execution_options(synchronize_session=False)
        )
        made = scoped(ApiKey, organization_id).where(
            ApiKey.created_by.in_(found), ApiKey.revoked_at.is_(None)
        )
        found = list(await session.scalars(made.with_only_columns(ApiKey.id)))
    if revoked:
        own = [] if ring is None else [partial(ring.forget, each) for each in revoked]
        await forgotten(session, *own)
    return revoked


async def _is_there(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> bool:
    mine = scoped(ApiKey, organization_id).where(ApiKey.id == id, ApiKey.revoked_at.is_(None))
    return await session.scalar(mine) is not None


def bounded(
    principal: Principal,
    scopes: Iterable[str],
    rate_limit_per_minute: int | None,
    expires_at: datetime | None,
) -> tuple[int | None, datetime | None]:
    """The limit and the end of a key that `principal` makes: where none is wished, its own. Raises
    `Error` 400 for more than a key has itself: nobody gains by making one."""
    if principal.kind != "key":
        return rate_limit_per_minute, expires_at
    for place, scope in enumerate(scopes):
        if not covers(principal.scopes, scope):
            raise invalid_field(f"scopes.{place}", f"This API key has no scope {scope} to give")
    own = principal.expires_at
    if own is not None and expires_at is not None and expires_at > own:
        raise invalid_field("expiresAt", "Expires at must not be after the end of the key in use")
    return within_limit(principal, rate_limit_per_minute), expires_at or own


def within_limit(principal: Principal, wished: int | None) -> int | None:
    """`wished`, or without a wish the key's own limit. Raises `Error` 400 for more than that."""
    own = principal.limit_per_minute if principal.kind == "key" else None
    if own is not None and wished is not None and wished > own:
        raise invalid_field(
            "rateLimitPerMinute", f"Rate limit per minute must be at most {own}, this key's own"
        )
    return own if wished is None else wished


class KeyRing:
    """The keys that were used lately, and when."""

    def __init__(self, database: Database, now: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._ring = Ring(self._look_up, now)
        self._used: dict[uuid.UUID, datetime] = {}

    async def principal(self, key: str, *, looks_up: bool = True) -> Principal | None:
        """Whose key this is; None if nobody's, or if it was revoked or has expired. Without looking
        up, of keys that were used within seconds."""
        if not key.startswith(PREFIXES) or len(key) > 256:
            return None
        found = await self._ring.get(digest(key), looks_up=looks_up)
        if found is None or (found.expires_at and found.expires_at <= utcnow()):
            return None
        self._used[found.id] = utcnow()
        return found

    def forget(self, key_id: uuid.UUID) -> None:
        self._ring.forget(lambda principal: principal.id == key_id)

    def forget_organization(self, organization_id: uuid.UUID) -> None:
        self._ring.forget(lambda principal: principal.organization_id == organization_id)

    def forget_all(self) -> None:
        self._ring.forget(lambda _: True)

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
