"""Those who are on the way: a row for each, good once and for minutes, in the browser that began.

The state goes through the provider and comes back in an address; the cookie never leaves the
browser. Only both together find the row, so nobody can have somebody else's browser finish what
they began, nor finish it in theirs. Taking a row deletes it, also for other processes.
"""

from __future__ import annotations

import hmac
import secrets as random
import uuid
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from chorus.accounts.secrets import Secrets, digest
from chorus.accounts.sso.tables import SsoFlow
from chorus.db import Database
from chorus.settings import Settings

LASTS = timedelta(minutes=10)

Purpose = Literal["sign_in", "link"]


async def begin(
    session: AsyncSession,
    secrets: Secrets,
    purpose: Purpose,
    organization_id: uuid.UUID,
    browser: str,
    remembered: dict[str, Any],
    now: datetime,
) -> str:
    """A new one; returns its state. `browser` is what the cookie holds."""
    state = random.token_urlsafe(32)
    session.add(
        SsoFlow(
            organization_id=organization_id,
            purpose=purpose,
            state_hash=digest(state),
            browser_hash=digest(browser),
            sealed=secrets.encrypt(remembered),
            created_at=now,
            expires_at=now + LASTS,
        )
    )
    await session.flush()
    return state


async def look(
    session: AsyncSession,
    secrets: Secrets,
    purpose: Purpose,
    organization_id: uuid.UUID,
    state: str,
    browser: str | None,
    now: datetime,
) -> dict[str, Any] | None:
    """What was remembered; None if there is no such one, it has ended, or another browser or
    another organization comes with it."""
    row = await session.scalar(
        sa.select(SsoFlow).where(SsoFlow.state_hash == digest(state), SsoFlow.purpose == purpose)
    )
    if row is None or row.expires_at <= now or row.organization_id != organization_id:
        return None
    if browser is None or not hmac.compare_digest(row.browser_hash, digest(browser)):
        return None
    return secrets.decrypt(row.sealed)


async def take(
    session: AsyncSession,
    secrets: Secrets,
    purpose: Purpose,
    organization_id: uuid.UUID,
    state: str,
    browser: str | None,
    now: datetime,
) -> dict[str, Any] | None:
    """As `look`, and it is used up: nobody else has it."""
    found = await look(session, secrets, purpose, organization_id, state, browser, now)
    ended = sa.delete(SsoFlow).where(SsoFlow.state_hash == digest(state))
    gone = (await session.execute(ended.returning(SsoFlow.id))).scalar_one_or_none()
    return None if gone is None else found


async def sweep(database: Database, now: datetime) -> None:
    async with database.writing() as session:
        await session.execute(sa.delete(SsoFlow).where(SsoFlow.expires_at <= now))


# --- the cookie ---------------------------------------------------------------------------


def _is_secure(settings: Settings) -> bool:
    return urlsplit(settings.url).scheme == "https"


def cookie_name(settings: Settings) -> str:
    return "__Host-chorus_sso" if _is_secure(settings) else "chorus_sso"


def browser_of(headers: Headers, settings: Settings) -> str | None:
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(settings))


def set_cookie(response: Response, settings: Settings, browser: str) -> None:
    """A new one each time: one that somebody planted must not be taken over."""
    response.set_cookie(
        cookie_name(settings),
        browser,
        max_age=int(2 * LASTS.total_seconds()),  # to the provider and back, and a password
        path="/",
        secure=_is_secure(settings),
        httponly=True,
        # The page that asks is this server's own, wherever the browser came to it from.
        samesite="strict",
    )
