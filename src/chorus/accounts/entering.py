"""What all ways to come in have in common: the attempt that is counted, the session that begins,
and the entry in the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import lazyload

from chorus import errors
from chorus.accounts import audit, identities, organizations, sessions
from chorus.accounts.identities import Membership
from chorus.accounts.principal import Principal
from chorus.accounts.sso.policy import refusal_of_password
from chorus.accounts.tables import Member, MemberSession, Organization
from chorus.accounts.throttle import CODES, Attempt
from chorus.db import after_commit
from chorus.process import Process

_TOLD = 20


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from; `token` is the cookie that it brought."""

    address: str
    user_agent: str
    request_id: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Entered:
    session: MemberSession
    member: Member
    organization: Organization
    organizations: Sequence[Membership]
    token: str


async def count(process: Process, attempt: Attempt) -> None:
    """Raises `Error` 429."""
    wait_s = await attempt.begin(process.database, process.clock.utcnow())
    if wait_s:
        raise errors.Error(
            429,
            "too_many_attempts",
            f"Too many attempts to log in. Please wait {wait_s} seconds.",
            headers={"Retry-After": str(wait_s)},
            extra={"retryAfter": wait_s},
        )


async def enter(
    process: Process,
    session: AsyncSession,
    member: Member,
    visitor: Visitor,
    attempt: Attempt | None,
    action: str,
    *,
    expires_at: datetime | None = None,
    by_sso: bool = False,
) -> Entered:
    """Begin a session of the member; the one that the browser had ends. `by_sso`: not a password
    but the organization's identity provider lets in. Raises `Error` 403."""
    now = process.clock.utcnow()
    organization = await organizations.one(session, member.organization_id)
    if organization.suspended_at is not None:
        raise errors.Error(
            403,
            "organization_suspended",
            "This organization is suspended; ask the operator of this platform",
        )
    if not by_sso and (refusal := await refusal_of_password(session, member)) is not None:
        raise refusal
    if attempt is not None:
        await attempt.succeeded(session, now)
    if visitor.token is not None:
        # A token that was there before the login is never one afterwards.
        await sessions.end_by_token(session, process.sessions, visitor.token)
    row, token = await sessions.begin(
        session,
        member,
        now,
        visitor.address,
        visitor.user_agent,
        expires_at=expires_at,
        by_sso=by_sso,
    )
    audit.record(
        session,
        principal_of(member),
        action,
        "sessions",
        row.id,
        fields=["password"] if action in ("acceptInvitation", "createOwner") else (),
        request_id=visitor.request_id,
        address=visitor.address,
    )
    after_commit(session, lambda: process.sessions.forget_member(member.id))
    theirs = await identities.memberships(session, member, by_sso=by_sso)
    return Entered(row, member, organization, theirs, token)


async def failed(
    process: Process,
    visitor: Visitor,
    email: str,
    reason: str,
    organization_id: uuid.UUID | None = None,
) -> None:
    """Tell each organization in which somebody with this address could have logged in. Whose
    address it is, is all that is known of who tried."""
    query = sa.select(Member).where(Member.email == email, Member.identity_id.is_not(None))
    if organization_id is not None:
        query = query.where(Member.organization_id == organization_id)
    async with process.database.reading() as session:
        found = await session.scalars(query.options(lazyload(Member.identity)).limit(_TOLD))
        for member in found:
            note_failed(process, visitor, member, reason)


def note_failed(process: Process, visitor: Visitor, member: Member, reason: str) -> None:
    """`reason`: what was wrong, password or code."""
    process.reads.add(
        principal_of(member),
        "failedLogin",
        "members",
        member.id,
        request_id=visitor.request_id,
        address=visitor.address,
        detail={"reason": reason},
    )


def note(
    session: AsyncSession,
    member: Member,
    visitor: Visitor,
    action: str,
    fields: Sequence[str] = (),
) -> None:
    audit.record(
        session,
        principal_of(member),
        action,
        "members",
        member.id,
        fields=fields,
        request_id=visitor.request_id,
        address=visitor.address,
    )


def principal_of(member: Member) -> Principal:
    return Principal(
        kind="member",
        id=member.id,
        name=member.email,
        organization_id=member.organization_id,
        role=member.role,  # pyright: ignore[reportArgumentType]  the column allows these
        identity_id=member.identity_id,
    )


def codes_of(identity_id: uuid.UUID, visitor: Visitor) -> Attempt:
    return Attempt(f"second factor of {identity_id}", visitor.address, CODES)


def wrong() -> errors.Error:
    return errors.Error(401, "invalid_credentials", "Wrong e-mail address or password")
