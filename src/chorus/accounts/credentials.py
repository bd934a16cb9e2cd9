"""What people change of their own: the password and the second factor, for all of the
organizations that they are a member of. An entry in the audit log is made in each."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import identities, second_factor, sessions
from chorus.accounts.entering import Visitor, codes_of, count, note
from chorus.accounts.principal import Principal
from chorus.accounts.second_factor import Begun
from chorus.accounts.tables import Identity
from chorus.accounts.throttle import Attempt
from chorus.process import Process


async def change_password(
    process: Process, visitor: Visitor, principal: Principal, current: str, new: str
) -> None:
    """Ends all other sessions. Raises `Error` 400 if `current` is wrong, 409 if there is no
    password, 429."""
    stored = await _prove(process, visitor, principal, current, "currentPassword")
    hashed = await process.passwords.hash(new, field="newPassword")
    async with process.database.writing() as session:
        found = await _own(session, principal)
        if found.password_hash != stored:
            raise errors.invalid_field("currentPassword", "Current password is wrong")
        found.password_hash, found.password_is_own = hashed, True
        for member in await identities.members_of(session, found.id):
            member.invitation_hash = member.invitation_expires_at = None
        await sessions.end_all_of_identity(
            session, process.sessions, found.id, but=principal.session_id
        )
        await _note(session, found, visitor, "changePassword", ["password"])


async def begin_second_factor(
    process: Process, visitor: Visitor, principal: Principal, password: str
) -> Begun:
    """Raises `Error` 400 for a wrong password, 409, 429."""
    await _prove(process, visitor, principal, password)
    host = urlsplit(process.settings.url).hostname or "chorus"
    async with process.database.writing() as session:
        found = await _own(session, principal)
        begun = second_factor.begin(process.secrets, found, host)
        await _note(session, found, visitor, "createSecondFactor")
    return begun


async def confirm_second_factor(
    process: Process, visitor: Visitor, principal: Principal, code: str
) -> Identity:
    """Ends all other sessions. Raises `Error` 400 for a wrong code, 409, 429."""
    assert principal.identity_id is not None
    attempt = codes_of(principal.identity_id, visitor)
    await count(process, attempt)
    now = process.clock.utcnow()
    async with process.database.writing() as session:
        found = await _own(session, principal)
        second_factor.confirm(process.secrets, found, code, now)
        await attempt.succeeded(session, now)
        await sessions.end_all_of_identity(
            session, process.sessions, found.id, but=principal.session_id
        )
        await _note(session, found, visitor, "confirmSecondFactor")
    return found


async def remove_second_factor(
    process: Process, visitor: Visitor, principal: Principal, password: str, code: str
) -> Identity:
    """Raises `Error` 400 for a wrong password or code, 409 if there is none in use, 429."""
    await _prove(process, visitor, principal, password)
    assert principal.identity_id is not None
    attempt = codes_of(principal.identity_id, visitor)
    await count(process, attempt)
    now = process.clock.utcnow()
    async with process.database.writing() as session:
        found = await _own(session, principal)
        if not second_factor.is_on(found):
            raise errors.conflict("no_second_factor", "There is no second factor in use")
        if not second_factor.accept(process.secrets, found, code, now):
            raise second_factor.wrong_code()
        second_factor.remove(found)
        await attempt.succeeded(session, now)
        await _note(session, found, visitor, "deleteSecondFactor")
    return found


async def _prove(
    process: Process,
    visitor: Visitor,
    principal: Principal,
    password: str,
    field: str = "password",
) -> str:
    """That whoever has the session knows the password, told as `field`; returns the hash that it
    fits. Raises `Error` 400, 409 where there is none, 429."""
    attempt = Attempt(principal.name, visitor.address)
    await count(process, attempt)
    async with process.database.reading() as session:
        found = await session.get(Identity, principal.identity_id)
    if found is not None and found.password_hash is None:
        raise errors.conflict(
            "no_password",
            "You come in by your organization's identity provider and have no password here; an "
            "admin's invitation lets you set one",
        )
    stored = None if found is None else found.password_hash
    if stored is None or not await process.passwords.matches(stored, password):
        raise errors.invalid_field(field, f"{errors.label(field)} is wrong")
    async with process.database.writing() as session:
        await attempt.succeeded(session, process.clock.utcnow())
    return stored


async def _own(session: AsyncSession, principal: Principal) -> Identity:
    found = await identities.locked(session, principal.identity_id)
    if found is None:
        raise errors.not_found("Member")
    return found


async def _note(
    session: AsyncSession,
    identity: Identity,
    visitor: Visitor,
    action: str,
    fields: Sequence[str] = (),
) -> None:
    for member in await identities.members_of(session, identity.id):
        note(session, member, visitor, action, fields)
