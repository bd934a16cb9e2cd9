"""Publishable tokens: made, changed, revoked, and the calls that pages begin with them.

A page of another site shows its token and, because its browser says so, its origin; a program can
say any origin, so what a token may cost is bounded by its limits. These are counted under a lock on
the token's row, in the database: several processes keep them together. The page connects at an
address that is signed for its origin (`browser.proof_for`), which the handshake checks again.
"""

from __future__ import annotations

import math
import re
import secrets as random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, lists
from chorus.accounts import audit
from chorus.accounts.organizations import is_suspended
from chorus.addresses import household
from chorus.agents import queries as agents
from chorus.calls import live
from chorus.calls.browser import Begun, begin, proof_for
from chorus.calls.publishable_schemas import PublishableTokenCreate
from chorus.calls.publishable_tables import PublishableCall, PublishableToken
from chorus.calls.schemas import TestCallCreate
from chorus.calls.status import end
from chorus.calls.switchboard import Switchboard
from chorus.calls.tables import CallRow
from chorus.db import named_like, scoped, utcnow
from chorus.process import Process
from chorus.wire import Found, SearchQuery

PREFIX = "pk_live_"
_TOKEN = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{1,56}")
MOST_TOKENS = 100
HOUR = timedelta(hours=1)
KEPT_FOR = timedelta(days=1)
"""Longer than any call, so that those which are live are counted."""
ADDRESS_PURPOSE = "publishable address"


@dataclass(frozen=True, slots=True)
class FromPage:
    """A call that was begun for a page; `proof` belongs into the address of its websocket."""

    begun: Begun
    proof: str


async def page(
    session: AsyncSession, organization_id: uuid.UUID, wanted: SearchQuery
) -> tuple[list[PublishableToken], Found]:
    """Those that are not revoked."""
    query = scoped(PublishableToken, organization_id).where(PublishableToken.revoked_at.is_(None))
    if search := wanted.wanted:
        query = query.where(named_like(PublishableToken.name, search))
    return await lists.of(session, query, PublishableToken, wanted)


async def one(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, *, lock: bool = False
) -> PublishableToken:
    """One that is not revoked. Raises `Error` 404."""
    query = scoped(PublishableToken, organization_id).where(
        PublishableToken.id == id, PublishableToken.revoked_at.is_(None)
    )
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise errors.not_found("Publishable token")
    return found


async def create(
    session: AsyncSession, organization_id: uuid.UUID, wish: PublishableTokenCreate
) -> PublishableToken:
    """Raises `Error` 400 for an agent that is not there, 409 for too many tokens."""
    await _agent(session, organization_id, wish.agent_id)
    mine = scoped(PublishableToken, organization_id).where(PublishableToken.revoked_at.is_(None))
    count = await session.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
    if count >= MOST_TOKENS:
        raise errors.conflict(
            "too_many_publishable_tokens",
            f"An organization has at most {MOST_TOKENS} publishable tokens",
        )
    row = PublishableToken(
        organization_id=organization_id,
        token=PREFIX + random.token_urlsafe(24),
        **wish.model_dump(),
    )
    session.add(row)
    await session.flush()
    return row


async def change(
    session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID, changes: dict[str, Any]
) -> PublishableToken:
    """Raises `Error` 400, 404."""
    row = await one(session, organization_id, id, lock=True)
    if "agent_id" in changes:
        await _agent(session, organization_id, changes["agent_id"])
    for name, value in changes.items():
        setattr(row, name, value)
    await session.flush()
    return row


async def revoke(
    session: AsyncSession,
    switchboard: Switchboard,
    organization_id: uuid.UUID,
    id: uuid.UUID,
    *,
    end_calls: bool,
) -> int:
    """For good. Calls to which the page has not connected yet end; those that are talked on do
    with `end_calls`, and how many they were is returned. Raises `Error` 404."""
    row = await one(session, organization_id, id, lock=True)
    row.revoked_at = utcnow()
    calls = await session.execute(
        sa.select(CallRow.id, CallRow.status)
        .join(PublishableCall, PublishableCall.call_id == CallRow.id)
        .where(PublishableCall.token_id == id, CallRow.ended_at.is_(None))
    )
    why = "its publishable token was revoked"
    told = 0
    for call_id, status in calls.all():
        if status != "in_progress":
            await end(
                session,
                switchboard,
                call_id,
                organization_id,
                "failed",
                "cancelled",
                detail=why,
                duration_seconds=0,
                only_if=(CallRow.answered_at.is_(None),),
            )
        elif end_calls:
            try:
                await live.send(session, switchboard, organization_id, call_id, "hang_up", why)
            except errors.Error:
                continue  # it ended meanwhile
            told += 1
    audit.note(session, endCalls=end_calls, endedCalls=told)
    return told


async def begin_for_page(
    process: Process, switchboard: Switchboard, token: str, origin: str, address: str
) -> FromPage:
    """A call of a page of `origin`, asked for from `address`. Raises `Error` 404 for a token that
    never was, 403 for one that is revoked, not for this origin or of a suspended
    organization, 429 over one of its limits, and what `browser.begin` does."""
    origin = origin.lower()
    async with process.database.reading() as session:
        # Read first: what somebody made up must not cost a turn of the writer.
        _check(await _by_token(session, token), origin)
    async with process.database.writing() as session:
        row = _check(await _by_token(session, token, lock=True), origin)
        if await is_suspended(session, row.organization_id):
            raise errors.Error(403, "organization_suspended", "This organization is suspended")
        address_hash = process.secrets.sign(ADDRESS_PURPOSE, household(address))
        await _within_limits(session, row, address_hash)
        wish = TestCallCreate.model_validate(
            {"agentId": row.agent_id, "contextVariables": row.context_variables}
        )
        begun = await begin(
            session, switchboard, process, row.organization_id, wish, for_public=True
        )
        session.add(
            PublishableCall(
                call_id=begun.call_id,
                organization_id=row.organization_id,
                token_id=row.id,
                address_hash=address_hash,
            )
        )
        await session.execute(
            sa.update(PublishableToken)
            .where(PublishableToken.id == row.id)
            .values(last_used_at=utcnow(), updated_at=PublishableToken.updated_at)
        )
    return FromPage(begun, proof_for(process.secrets, str(begun.call_id), origin))


async def longest_s(session: AsyncSession, call_id: uuid.UUID) -> int | None:
    """How long a call may last by the token that it was begun with; None: without one."""
    return await session.scalar(
        sa.select(PublishableToken.max_call_seconds)
        .join(PublishableCall, PublishableCall.token_id == PublishableToken.id)
        .where(PublishableCall.call_id == call_id)
    )


async def _agent(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> None:
    if await agents.find(session, organization_id, id) is None:
        raise errors.invalid_field("agentId", "Agent not found")


async def _by_token(
    session: AsyncSession, token: str, *, lock: bool = False
) -> PublishableToken | None:
    if not _TOKEN.fullmatch(token):
        return None
    query = sa.select(PublishableToken).where(PublishableToken.token == token)
    return await session.scalar(query.with_for_update() if lock else query)


def _check(row: PublishableToken | None, origin: str) -> PublishableToken:
    if row is None:
        raise errors.not_found("Publishable token")
    if row.revoked_at is not None:
        raise errors.Error(403, "publishable_token_revoked", "This publishable token was revoked")
    if origin not in row.origins:
        raise errors.Error(
            403, "origin_not_allowed", "This publishable token is not for pages of this origin"
        )
    return row


async def _within_limits(session: AsyncSession, row: PublishableToken, address_hash: str) -> None:
    """Raises `Error` 429, which says when to come again. Forgets what is a day old."""
    now = utcnow()
    mine = PublishableCall.token_id == row.id
    await session.execute(
        sa.delete(PublishableCall)
        .where(mine, PublishableCall.created_at < now - KEPT_FOR)
        .execution_options(synchronize_session=False)
    )
    lately = PublishableCall.created_at > now - HOUR
    here = sa.and_(lately, PublishableCall.address_hash == address_hash)
    counted = await session.execute(
        sa.select(
            sa.func.count().filter(CallRow.ended_at.is_(None)),
            sa.func.count().filter(lately),
            sa.func.min(PublishableCall.created_at).filter(lately),
            sa.func.count().filter(here),
            sa.func.min(PublishableCall.created_at).filter(here),
        )
        .select_from(PublishableCall)
        .join(CallRow, CallRow.id == PublishableCall.call_id)
        .where(mine)
    )
    at_once, all_, first, of_address, first_of_address = counted.one()
    if of_address >= row.max_calls_per_address:
        raise _too_many("address", "from this address within an hour", first_of_address, now)
    if all_ >= row.max_calls_per_hour:
        raise _too_many("hour", "within an hour", first, now)
    if at_once >= row.max_calls:
        raise _too_many("concurrent", "at once", None, now)


def _too_many(what: str, sentence: str, first: datetime | None, now: datetime) -> errors.Error:
    wait_s = 30 if first is None else max(1, math.ceil((first + HOUR - now).total_seconds()))
    return errors.Error(
        429,
        f"too_many_calls_{what}",
        f"This page has had as many calls {sentence} as it may",
        headers={"Retry-After": str(wait_s)},
    )
