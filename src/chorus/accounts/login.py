"""By which members come in: log in, accept an invitation, change the password.

Each attempt is counted (`throttle.py`) before anything is looked at, in a transaction of its own;
then the password is compared, outside of any; then what follows from it is written, in one
transaction with its entry in the audit log. One password is compared per attempt, whether the
account exists or not, so neither the answer nor the time that it takes tells.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import (
    audit,
    first_owner,
    members,
    organizations,
    second_factor,
    sessions,
)
from chorus.accounts.principal import Principal
from chorus.accounts.second_factor import Begun
from chorus.accounts.tables import Member, MemberSession, Organization
from chorus.accounts.throttle import CODES, Attempt
from chorus.db import after_commit, scoped
from chorus.process import Process

ACCOUNTS = 3
"""Of one address, without an organization: so many passwords are compared, always."""


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
    """Who is a member of several organizations names one; otherwise the one is meant that the
    password is of, and of several such the one that was used last. Addresses are not verified, so
    what another organization does with one must not decide. Raises `Error` 401 for what is wrong,
    and for what a code is needed for too (`second_factor.required`), 403, 429."""
    attempt = Attempt(email, visitor.address)
    await _count(process, attempt)
    await process.passwords.prepare()
    async with process.database.reading() as session:
        accounts = (await session.scalars(_accounts(email, organization_id))).all()
    stored_hashes = [found.password_hash for found in accounts if found.password_hash]
    tries = 1 if organization_id is not None else ACCOUNTS
    right = await process.passwords.which(stored_hashes, password, tries)
    mine = [found for found in accounts if found.password_hash in right]
    if not mine:
        raise _wrong()
    member = max(mine, key=lambda found: (found.last_login_at or found.created_at, found.id))
    stored = member.password_hash
    assert stored is not None
    renewed = await process.passwords.renew(password) if _outdated(process, stored) else stored
    async with process.database.writing() as session:
        found = await session.scalar(_the(member).with_for_update())
        if found is None or found.password_hash != stored:
            raise _wrong()  # changed or removed since it was read
        found.password_hash = renewed
        if not second_factor.is_on(found):
            return await _enter(process, session, found, visitor, attempt, "createSession")
    # The attempt stays counted until the code is right.
    raise second_factor.required(process.secrets, found, process.clock.utcnow())


async def show_code(process: Process, visitor: Visitor, challenge: str, code: str) -> Entered:
    """The second step of `log_in`. Raises `Error` 401 for a challenge that is none or has ended,
    400 for a wrong code, 403, 429."""
    now = process.clock.utcnow()
    found = second_factor.read(process.secrets, challenge, now)
    if found is None:
        raise _ended()
    attempt = _codes_of(found.member_id, visitor)
    await _count(process, attempt)
    async with process.database.writing() as session:
        member = await second_factor.locked(session, found.organization_id, found.member_id)
        if member is None or not found.is_of(member) or not second_factor.is_on(member):
            raise _ended()
        if not second_factor.accept(process.secrets, member, code, now):
            raise second_factor.wrong_code()
        await Attempt(member.email, visitor.address).succeeded(session, now)
        return await _enter(process, session, member, visitor, attempt, "createSession")


async def accept(
    process: Process, visitor: Visitor, token: str, password: str, name: str | None
) -> Entered:
    """Set the password of an invitation and log in. Whatever sessions there were end. Raises
    `Error` 404 for an invitation that is none or has ended, 401 where a code is needed too (the
    password is set then), 429."""
    # A token cannot be guessed: nobody's attempts may hold up another's, and the address counts.
    attempt = Attempt(None, visitor.address)
    await _count(process, attempt)
    hashed = await process.passwords.hash(password)
    async with process.database.writing() as session:
        member = await members.invited(session, token, process.clock.utcnow())
        member.password_hash = hashed
        member.invitation_hash = member.invitation_expires_at = None
        if name is not None:
            member.name = name
        await sessions.end_all(session, process.sessions, member.id)
        if not second_factor.is_on(member):
            return await _enter(process, session, member, visitor, attempt, "acceptInvitation")
        await attempt.succeeded(session, process.clock.utcnow())
        _note(session, member, visitor, "acceptInvitation", ["password"])
    raise second_factor.required(process.secrets, member, process.clock.utcnow())


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
    hashed = await process.passwords.hash(new, field="newPassword")
    async with process.database.writing() as session:
        found = await session.scalar(_the(member).with_for_update())
        if found is None or found.password_hash != stored:
            raise errors.invalid_field("currentPassword", "Current password is wrong")
        found.password_hash = hashed
        found.invitation_hash = found.invitation_expires_at = None
        await sessions.end_all(session, process.sessions, found.id, but=principal.session_id)
        await attempt.succeeded(session, process.clock.utcnow())
        _note(session, found, visitor, "changePassword", ["password"])


async def begin_second_factor(
    process: Process, visitor: Visitor, principal: Principal, password: str
) -> Begun:
    """Raises `Error` 400 for a wrong password, 409, 429."""
    await _prove(process, visitor, principal, password)
    host = urlsplit(process.settings.url).hostname or "chorus"
    async with process.database.writing() as session:
        member = await _own(session, principal)
        begun = second_factor.begin(process.secrets, member, host)
        _note(session, member, visitor, "createSecondFactor")
    return begun


async def confirm_second_factor(
    process: Process, visitor: Visitor, principal: Principal, code: str
) -> Member:
    """Ends all other sessions of the member. Raises `Error` 400 for a wrong code, 409, 429."""
    attempt = _codes_of(principal.id, visitor)
    await _count(process, attempt)
    now = process.clock.utcnow()
    async with process.database.writing() as session:
        member = await _own(session, principal)
        second_factor.confirm(process.secrets, member, code, now)
        await attempt.succeeded(session, now)
        await sessions.end_all(session, process.sessions, member.id, but=principal.session_id)
        _note(session, member, visitor, "confirmSecondFactor")
    return member


async def remove_second_factor(
    process: Process, visitor: Visitor, principal: Principal, password: str, code: str
) -> Member:
    """Raises `Error` 400 for a wrong password or code, 409 if there is none in use, 429."""
    await _prove(process, visitor, principal, password)
    attempt = _codes_of(principal.id, visitor)
    await _count(process, attempt)
    now = process.clock.utcnow()
    async with process.database.writing() as session:
        member = await _own(session, principal)
        if not second_factor.is_on(member):
            raise errors.conflict("no_second_factor", "There is no second factor in use")
        if not second_factor.accept(process.secrets, member, code, now):
            raise second_factor.wrong_code()
        second_factor.remove(member)
        await attempt.succeeded(session, now)
        _note(session, member, visitor, "deleteSecondFactor")
    return member


async def _prove(process: Process, visitor: Visitor, principal: Principal, password: str) -> None:
    """That whoever has the session is its member. Raises `Error` 400, 429."""
    attempt = Attempt(principal.name, visitor.address)
    await _count(process, attempt)
    async with process.database.reading() as session:
        member = await members.one(session, principal.organization_id, principal.id)
    if not await process.passwords.matches(member.password_hash, password):
        raise errors.invalid_field("password", "Password is wrong")
    async with process.database.writing() as session:
        await attempt.succeeded(session, process.clock.utcnow())


async def _own(session: AsyncSession, principal: Principal) -> Member:
    member = await second_factor.locked(session, principal.organization_id, principal.id)
    if member is None:
        raise errors.not_found("Member")
    return member


def _codes_of(member_id: uuid.UUID, visitor: Visitor) -> Attempt:
    return Attempt(f"second factor of {member_id}", visitor.address, CODES)


def _note(
    session: AsyncSession,
    member: Member,
    visitor: Visitor,
    action: str,
    fields: Sequence[str] = (),
) -> None:
    audit.record(
        session,
        _principal(member),
        action,
        "members",
        member.id,
        fields=fields,
        request_id=visitor.request_id,
        address=visitor.address,
    )


def _principal(member: Member) -> Principal:
    return Principal(
        kind="member",
        id=member.id,
        name=member.email,
        organization_id=member.organization_id,
        role=member.role,  # pyright: ignore[reportArgumentType]  the column allows these
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
    audit.record(
        session,
        _principal(member),
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


def _accounts(email: str, organization_id: uuid.UUID | None) -> sa.Select[Member]:
    """Of several, those that are there the longest: whoever adds an account with somebody's address
    later cannot push the others out."""
    query = sa.select(Member).where(Member.email == email, Member.password_hash.is_not(None))
    if organization_id is not None:
        query = query.where(Member.organization_id == organization_id)
    return query.order_by(Member.created_at, Member.id).limit(ACCOUNTS)


def _the(member: Member) -> sa.Select[Member]:
    return scoped(Member, member.organization_id).where(Member.id == member.id)


def _outdated(process: Process, stored: str) -> bool:
    return process.passwords.is_outdated(stored)


def _ended() -> errors.Error:
    return errors.Error(401, "invalid_challenge", "The log-in has ended; begin it anew")


def _wrong() -> errors.Error:
    return errors.Error(401, "invalid_credentials", "Wrong e-mail address or password")
