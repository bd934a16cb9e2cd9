"""By which members come in: log in, accept an invitation, change the password.

Each attempt is counted (`throttle.py`) before anything is looked at, in a transaction of its own;
then the password is compared, outside of any; then what follows from it is written, in one
transaction with its entry in the audit log. One password is compared per attempt, whether the
account exists or not, so neither the answer nor the time that it takes tells.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import audit, first_owner, members, organizations, sessions
from chorus.accounts.principal import Principal
from chorus.accounts.tables import Member, MemberSession, Organization
from chorus.accounts.throttle import Attempt
from chorus.db import after_commit, scoped
from chorus.process import Process


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
    token: str


async def log_in(
    process: Process,
    visitor: Visitor,
    email: str,
    password: str,
    organization_id: uuid.UUID | None,
) -> Entered:
    """Who is a member of several organizations names one; otherwise the one is meant in which the
    address was used last. Raises `Error` 401 for what is wrong, 403, 429."""
    attempt = Attempt(email, visitor.address)
    await _count(process, attempt)
    await process.passwords.prepare()
    async with process.database.reading() as session:
        member = await session.scalar(_account(email, organization_id))
    stored = member.password_hash if member else None
    if not await process.passwords.matches(stored, password) or member is None or stored is None:
        raise _wrong()
    renewed = await process.passwords.hash(password) if _outdated(process, stored) else stored
    async with process.database.writing() as session:
        found = await session.scalar(_the(member).with_for_update())
        if found is None or found.password_hash != stored:
            raise _wrong()  # changed or removed since it was read
        found.password_hash = renewed
        return await _enter(process, session, found, visitor, attempt, "createSession")


async def accept(
    process: Process, visitor: Visitor, token: str, password: str, name: str | None
) -> Entered:
    """Set the password of an invitation and log in. Whatever sessions there were end. Raises
    `Error` 404 for an invitation that is none or has ended, 429."""
    attempt = Attempt("an invitation", visitor.address)
    await _count(process, attempt)
    hashed = await process.passwords.hash(password)
    async with process.database.writing() as session:
        member = await members.invited(session, token, process.clock.utcnow())
        member.password_hash = hashed
        member.invitation_hash = member.invitation_expires_at = None
        if name is not None:
            member.name = name
        await sessions.end_all(session, process.sessions, member.id)
        return await _enter(process, session, member, visitor, attempt, "acceptInvitation")


async def create_owner(
    process: Process, visitor: Visitor, token: str, email: str, password: str, name: str | None
) -> Entered:
    """Make the first owner of an organization (`first_owner.py`) and log in. Raises `Error` 404
    for a token that holds no more, 429."""
    attempt = Attempt("the first owner", visitor.address)
    await _count(process, attempt)
    hashed = await process.passwords.hash(password)
    async with process.database.writing() as session:
        organization = await first_owner.claimed(session, process.secrets, token)
        # Somebody invited with this address who has not come is who comes now.
        await session.execute(
            sa.delete(Member).where(
                Member.organization_id == organization.id, Member.email == email
            )
        )
        member, _ = await members.add(
            session,
            organization.id,
            email=email,
            role="owner",
            name=name,
            password_hash=hashed,
            now=process.clock.utcnow(),
        )
        return await _enter(process, session, member, visitor, attempt, "createOwner")


async def change_password(
    process: Process, visitor: Visitor, principal: Principal, current: str, new: str
) -> None:
    """Ends all other sessions of the member. Raises `Error` 400 if `current` is wrong, 429."""
    attempt = Attempt(principal.name, visitor.address)
    await _count(process, attempt)
    async with process.database.reading() as session:
        member = await members.one(session, principal.organization_id, principal.id)
    stored = member.password_hash
    if not await process.passwords.matches(stored, current):
        raise errors.invalid_field("currentPassword", "Current password is wrong")
    hashed = await process.passwords.hash(new)
    async with process.database.writing() as session:
        found = await session.scalar(_the(member).with_for_update())
        if found is None or found.password_hash != stored:
            raise errors.invalid_field("currentPassword", "Current password is wrong")
        found.password_hash = hashed
        found.invitation_hash = found.invitation_expires_at = None
        await sessions.end_all(session, process.sessions, found.id, but=principal.session_id)
        await attempt.succeeded(session, process.clock.utcnow())
        audit.record(
            session,
            principal,
            "changePassword",
            "members",
            found.id,
            fields=["password"],
            request_id=visitor.request_id,
            address=visitor.address,
        )


async def _enter(
    process: Process,
    session: AsyncSession,
    member: Member,
    visitor: Visitor,
    attempt: Attempt,
    action: str,
) -> Entered:
    now = process.clock.utcnow()
    organization = await organizations.one(session, member.organization_id)
    if organization.suspended_at is not None:
        raise errors.Error(
            403,
            "organization_suspended",
            "This organization is suspended; ask the operator of this platform",
        )
    await attempt.succeeded(session, now)
    if visitor.token is not None:
        # A token that was there before the login is never one afterwards.
        await sessions.end_by_token(session, process.sessions, visitor.token)
    row, token = await sessions.begin(session, member, now, visitor.address, visitor.user_agent)
    principal = Principal(
        kind="member",
        id=member.id,
        name=member.email,
        organization_id=member.organization_id,
        role=member.role,  # pyright: ignore[reportArgumentType]  the column allows these
    )
    audit.record(
        session,
        principal,
        action,
        "sessions",
        row.id,
        fields=["password"] if action in ("acceptInvitation", "createOwner") else (),
        request_id=visitor.request_id,
        address=visitor.address,
    )
    after_commit(session, lambda: process.sessions.forget_member(member.id))
    return Entered(row, member, organization, token)


async def _count(process: Process, attempt: Attempt) -> None:
    wait_s = await attempt.begin(process.database, process.clock.utcnow())
    if wait_s:
        raise errors.Error(
            429,
            "too_many_attempts",
            f"Too many attempts to log in. Please wait {wait_s} seconds.",
            headers={"Retry-After": str(wait_s)},
            extra={"retryAfter": wait_s},
        )


def _account(email: str, organization_id: uuid.UUID | None) -> sa.Select[Member]:
    query = sa.select(Member).where(Member.email == email)
    if organization_id is not None:
        query = query.where(Member.organization_id == organization_id)
    used_last = (Member.last_login_at.desc().nulls_last(), Member.created_at, Member.id)
    return query.order_by(*used_last).limit(1)


def _the(member: Member) -> sa.Select[Member]:
    return scoped(Member, member.organization_id).where(Member.id == member.id)


def _outdated(process: Process, stored: str) -> bool:
    return process.passwords.is_outdated(stored)


def _wrong() -> errors.Error:
    return errors.Error(401, "invalid_credentials", "Wrong e-mail address or password")
