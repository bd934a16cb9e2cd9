"""Sessions of members: a cookie with a random token, of which the table has the hash.

A session ends when it was not used for `IDLE`, and `ABSOLUTE` after it began in any case. Look-ups
are cached as those of keys are: what ends a session ends it with the commit in all processes. When
a session was last used is written down now and then.
"""

from __future__ import annotations

import secrets as random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import lazyload
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from chorus.accounts.principal import Principal
from chorus.accounts.ring import Ring, forgotten
from chorus.accounts.secrets import digest
from chorus.accounts.tables import Member, MemberSession, Organization
from chorus.clock import Clock, SystemClock
from chorus.db import Database
from chorus.errors import not_found
from chorus.settings import Settings

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=14)
LIMIT_PER_MINUTE = 600
"""Requests of a member: a page of the dashboard makes several at a time."""


@dataclass(frozen=True, slots=True)
class _Found:
    principal: Principal
    last_seen_at: datetime


class SessionRing:
    """The sessions that were used lately, and when."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._ring = Ring(self._look_up, self._clock.monotonic)
        self._used: dict[uuid.UUID, datetime] = {}

    async def principal(self, token: str, *, looks_up: bool = True) -> Principal | None:
        """Who is logged in with it; None if nobody, or if the session has ended. Without looking
        up, of tokens that were used within seconds."""
        if not 20 <= len(token) <= 128:
            return None
        found = await self._ring.get(digest(token), looks_up=looks_up)
        if found is None:
            return None
        principal, now = found.principal, self._clock.utcnow()
        assert principal.session_id is not None
        assert principal.expires_at is not None
        seen = max(found.last_seen_at, self._used.get(principal.session_id, found.last_seen_at))
        if now >= principal.expires_at or now >= seen + IDLE:
            return None
        self._used[principal.session_id] = now
        return principal

    def forget(self, session_id: uuid.UUID) -> None:
        self._ring.forget(lambda found: found.principal.session_id == session_id)

    def forget_identity(self, identity_id: uuid.UUID) -> None:
        self._ring.forget(lambda found: found.principal.identity_id == identity_id)

    def forget_member(self, member_id: uuid.UUID) -> None:
        self._ring.forget(lambda found: found.principal.id == member_id)

    def forget_organization(self, organization_id: uuid.UUID) -> None:
        self._ring.forget(lambda found: found.principal.organization_id == organization_id)

    def forget_all(self) -> None:
        self._ring.forget(lambda _: True)

    async def flush(self) -> None:
        """Write down when sessions were last used."""
        used, self._used = self._used, {}
        if not used:
            return
        async with self._database.writing() as session:
            for session_id, when in used.items():
                await session.execute(
                    sa.update(MemberSession)
                    .where(MemberSession.id == session_id)
                    .values(last_seen_at=when, updated_at=MemberSession.updated_at)
                )
        # What is cached has the old time.
        self._ring.forget(lambda found: found.principal.session_id in used)

    async def sweep(self) -> None:
        """Delete those that have ended."""
        now = self._clock.utcnow()
        ended = sa.or_(MemberSession.expires_at <= now, MemberSession.last_seen_at <= now - IDLE)
        await self.flush()
        async with self._database.writing() as session:
            await session.execute(sa.delete(MemberSession).where(ended))

    async def _look_up(self, hashed: str) -> _Found | None:
        async with self._database.reading() as session:
            found = await session.execute(
                sa.select(MemberSession, Member, Organization)
                .join(Member, Member.id == MemberSession.member_id)
                .join(Organization, Organization.id == MemberSession.organization_id)
                .where(MemberSession.token_hash == hashed)
                .options(lazyload(Member.identity))
            )
            row = found.one_or_none()
        if row is None:
            return None
        mine, member, organization = row
        principal = Principal(
            kind="member",
            id=member.id,
            name=member.email,
            organization_id=mine.organization_id,
            role=member.role,  # pyright: ignore[reportArgumentType]  the column allows these
            limit_per_minute=LIMIT_PER_MINUTE,
            organization_limit=organization.rate_limit_per_minute,
            suspended=organization.suspended_at is not None,
            expires_at=mine.expires_at,
            session_id=mine.id,
            identity_id=member.identity_id,
            by_sso=mine.by_sso,
        )
        return _Found(principal, mine.last_seen_at)


async def begin(
    session: AsyncSession,
    member: Member,
    now: datetime,
    address: str,
    user_agent: str,
    *,
    expires_at: datetime | None = None,
    by_sso: bool = False,
) -> tuple[MemberSession, str]:
    """A new session of the member; returns it and the token for the cookie. It ends at
    `expires_at`, without one after `ABSOLUTE`."""
    token = random.token_urlsafe(32)
    row = MemberSession(
        organization_id=member.organization_id,
        member_id=member.id,
        token_hash=digest(token),
        created_at=now,
        expires_at=expires_at or now + ABSOLUTE,
        last_seen_at=now,
        address=address[:64],
        user_agent=user_agent[:255],
        by_sso=by_sso,
    )
    session.add(row)
    member.last_login_at = now
    await session.flush()
    return row, token


async def page(
    session: AsyncSession, principal: Principal, now: datetime, limit: int, offset: int
) -> tuple[list[MemberSession], int]:
    """The sessions that go on of whoever asks, in all organizations that the asking one reaches;
    the last used first."""
    mine = _own(principal).where(
        MemberSession.expires_at > now, MemberSession.last_seen_at > now - IDLE
    )
    total = await session.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
    ordered = mine.order_by(MemberSession.last_seen_at.desc(), MemberSession.id)
    return list((await session.scalars(ordered.limit(limit).offset(offset))).all()), total


async def current(session: AsyncSession, principal: Principal) -> MemberSession:
    """The one that asks. Raises `Error` 404 if it has just ended."""
    row = await session.scalar(_own(principal).where(MemberSession.id == principal.session_id))
    if row is None:
        raise not_found("Session")
    return row


async def end(
    session: AsyncSession, ring: SessionRing, principal: Principal, session_id: uuid.UUID
) -> None:
    """End one session of the member's own. Raises `Error` 404."""
    row = await session.scalar(_own(principal).where(MemberSession.id == session_id))
    if row is None:
        raise not_found("Session")
    await session.delete(row)
    await session.flush()
    await forgotten(session, lambda: ring.forget(session_id))


async def end_all(
    session: AsyncSession, ring: SessionRing, member_id: uuid.UUID, but: uuid.UUID | None = None
) -> int:
    """End a member's sessions in this one organization, all or all but one; returns how many there
    were."""
    query = sa.delete(MemberSession).where(MemberSession.member_id == member_id)
    if but is not None:
        query = query.where(MemberSession.id != but)
    ended = (await session.execute(query.returning(MemberSession.id))).all()
    await forgotten(session, lambda: ring.forget_member(member_id))
    return len(ended)


async def end_others(session: AsyncSession, ring: SessionRing, principal: Principal) -> int:
    """End all others of whoever asks that the asking one reaches; returns how many there were."""
    asking = principal.session_id
    if principal.by_sso:
        return await end_all(session, ring, principal.id, but=asking)
    assert principal.identity_id is not None
    return await end_all_of_identity(session, ring, principal.identity_id, but=asking)


async def end_all_of_identity(
    session: AsyncSession,
    ring: SessionRing | None,
    identity_id: uuid.UUID,
    but: uuid.UUID | None = None,
) -> int:
    """End somebody's sessions in all organizations, all or all but one; returns how many there
    were. `ring` is None in a process that serves nobody."""
    theirs = sa.select(Member.id).where(Member.identity_id == identity_id)
    query = sa.delete(MemberSession).where(MemberSession.member_id.in_(theirs))
    if but is not None:
        query = query.where(MemberSession.id != but)
    ended = (await session.execute(query.returning(MemberSession.id))).all()
    own = () if ring is None else (lambda: ring.forget_identity(identity_id),)
    await forgotten(session, *own)
    return len(ended)


async def end_by_token(session: AsyncSession, ring: SessionRing, token: str) -> None:
    """End the session of a cookie, whoever's it is, if there is one."""
    query = sa.delete(MemberSession).where(MemberSession.token_hash == digest(token))
    ended = (await session.execute(query.returning(MemberSession.id))).scalar_one_or_none()
    if ended is not None:
        await forgotten(session, lambda: ring.forget(ended))


def _own(principal: Principal) -> sa.Select[MemberSession]:
    """Of one person, so in whichever of the person's organizations; by an identity provider, in
    its own alone."""
    mine = sa.select(Member.id).where(Member.identity_id == principal.identity_id)
    if principal.by_sso:
        mine = mine.where(Member.id == principal.id)
    return sa.select(MemberSession).where(MemberSession.member_id.in_(mine))


# --- the cookie ---------------------------------------------------------------------------


def _is_secure(settings: Settings) -> bool:
    return urlsplit(settings.url).scheme == "https"


def cookie_name(settings: Settings) -> str:
    # Browsers hold a cookie with this prefix to Secure, this host and the whole of it.
    return "__Host-chorus_session" if _is_secure(settings) else "chorus_session"


def token_of(headers: Headers, settings: Settings) -> str | None:
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(settings))


def set_cookie(response: Response, settings: Settings, token: str) -> None:
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=int(ABSOLUTE.total_seconds()),
        path="/",
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        cookie_name(settings),
        path="/",
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )
