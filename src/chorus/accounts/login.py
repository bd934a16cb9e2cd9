"""By which people come in: log in, accept an invitation, go over to another organization.

Each attempt is counted (`throttle.py`) before anything is looked at, in a transaction of its own;
then the password is compared, outside of any; then what follows from it is written, in one
transaction with its entry in the audit log. As many passwords are compared, whether the account
exists or not, so neither the answer nor the time that it takes tells.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import first_owner, identities, members, second_factor, sessions
from chorus.accounts.entering import (
    Entered,
    Visitor,
    codes_of,
    count,
    enter,
    failed,
    note,
    note_failed,
    wrong,
)
from chorus.accounts.identities import ACCOUNTS
from chorus.accounts.principal import Principal
from chorus.accounts.sso.policy import refusal_of_password
from chorus.accounts.tables import Identity, Member
from chorus.accounts.throttle import Attempt
from chorus.process import Process


async def log_in(
    process: Process,
    visitor: Visitor,
    email: str,
    password: str,
    organization_id: uuid.UUID | None,
) -> Entered:
    """Who is a member of several organizations may name one; otherwise the one is meant, of those
    that the password lets in to, that was used last. Addresses are not verified, so what another
    organization does with one must not decide. Raises `Error` 401 for what is wrong, and for what
    a code is needed for too (`second_factor.required`), 403, 429."""
    attempt = Attempt(email, visitor.address)
    await count(process, attempt)
    async with process.database.reading() as session:
        found = await identities.of_address(session, email, organization_id)
    tries = 1 if organization_id is not None else ACCOUNTS
    right = {
        each.id: each.password_hash or "" for each in await _right(process, found, password, tries)
    }
    if not right:
        await failed(process, visitor, email, "password", organization_id)
        raise wrong()
    async with process.database.reading() as session:
        member = await identities.latest(session, email, list(right), organization_id)
    if member is None or member.identity_id is None:
        raise wrong()
    stored = right[member.identity_id]
    outdated = process.passwords.is_outdated(stored)
    renewed = await process.passwords.renew(password) if outdated else stored
    async with process.database.writing() as session:
        identity = await identities.locked(session, member.identity_id)
        mine = await identities.member_in(session, member.identity_id, member.organization_id)
        if identity is None or mine is None or identity.password_hash != stored:
            raise wrong()  # changed or removed since it was read
        if (refusal := await refusal_of_password(session, mine)) is not None:
            raise refusal
        identity.password_hash = renewed
        if not second_factor.is_on(identity):
            return await enter(process, session, mine, visitor, attempt, "createSession")
    # The attempt stays counted until the code is right.
    raise second_factor.required(process.secrets, mine, identity, process.clock.utcnow())


async def show_code(process: Process, visitor: Visitor, challenge: str, code: str) -> Entered:
    """The second step of `log_in`. Raises `Error` 401 for a challenge that is none or has ended,
    400 for a wrong code, 403, 429."""
    now = process.clock.utcnow()
    found = second_factor.read(process.secrets, challenge, now)
    if found is None:
        raise _ended()
    attempt = codes_of(found.identity_id, visitor)
    await count(process, attempt)
    async with process.database.writing() as session:
        identity = await identities.locked(session, found.identity_id)
        member = await identities.member_in(session, found.identity_id, found.organization_id)
        if identity is None or member is None:
            raise _ended()
        if not found.is_of(identity) or not second_factor.is_on(identity):
            raise _ended()
        if not second_factor.accept(process.secrets, identity, code, now):
            note_failed(process, visitor, member, "code")
            raise second_factor.wrong_code()
        await Attempt(identity.email, visitor.address).succeeded(session, now)
        return await enter(process, session, member, visitor, attempt, "createSession")


async def accept(
    process: Process, visitor: Visitor, token: str, password: str, name: str | None
) -> Entered:
    """Set the password of an invitation and log in. Whatever sessions there were end. Raises
    `Error` 404 for an invitation that is none or has ended, 401 where a code is needed too and 403
    where the organization wants its identity provider asked (the password is set then), 429."""
    # A token cannot be guessed: nobody's attempts may hold up another's, and the address counts.
    attempt = Attempt(None, visitor.address)
    await count(process, attempt)
    hashed = await process.passwords.hash(password)
    async with process.database.writing() as session:
        member = await members.invited(session, token, process.clock.utcnow(), locked=True)
        identity = await identities.own(session, member, hashed)
        refusal = await refusal_of_password(session, member)
        if entered := await _come(process, visitor, session, member, name, attempt, refusal):
            return entered
        await attempt.succeeded(session, process.clock.utcnow())
    raise refusal or second_factor.required(
        process.secrets, member, identity, process.clock.utcnow()
    )


async def join(
    process: Process, visitor: Visitor, token: str, password: str, name: str | None
) -> Entered:
    """Accept an invitation as somebody who is a member elsewhere, with the password that there is.
    Raises `Error` 404 as `accept`; 401 for a wrong password; 401 where a code is needed too, and
    403 as `accept` (the invitation is accepted then); 409 for a password that somebody else has
    set; 429."""
    knock = Attempt(None, visitor.address)
    await count(process, knock)
    async with process.database.reading() as session:
        member = await members.invited(session, token, process.clock.utcnow())
        found = await identities.of_address(session, member.email)
    attempt = Attempt(member.email, visitor.address)
    await count(process, attempt)
    right = await _right(process, found, password, ACCOUNTS)
    if not right:
        await failed(process, visitor, member.email, "password")
        raise wrong()
    # Who was added here with the password of elsewhere means the identity that is elsewhere.
    chosen = next((each for each in right if each.id != member.identity_id), right[0])
    if not chosen.password_is_own:
        raise errors.conflict(
            "password_not_own",
            "This password was set by somebody else; log in with it and change it first",
        )
    async with process.database.writing() as session:
        identity = await identities.locked(session, chosen.id)
        member = await members.invited(session, token, process.clock.utcnow(), locked=True)
        if identity is None or identity.password_hash != chosen.password_hash:
            raise wrong()  # changed or removed since it was read
        before = member.identity_id
        member.identity = identity
        await session.flush()
        if before != identity.id:
            await identities.prune(session, before)
        await knock.succeeded(session, process.clock.utcnow())
        refusal = await refusal_of_password(session, member)
        if entered := await _come(process, visitor, session, member, name, attempt, refusal):
            return entered
    raise refusal or second_factor.required(
        process.secrets, member, identity, process.clock.utcnow()
    )


async def create_owner(
    process: Process, visitor: Visitor, token: str, email: str, password: str, name: str | None
) -> Entered:
    """Make the first owner of an organization (`first_owner.py`) and log in. Raises `Error` 404
    for a token that holds no more, 429."""
    attempt = Attempt("the first owner", visitor.address)
    await count(process, attempt)
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
            password_is_own=True,
            now=process.clock.utcnow(),
        )
        return await enter(process, session, member, visitor, attempt, "createOwner")


async def switch(
    process: Process, visitor: Visitor, principal: Principal, organization_id: uuid.UUID
) -> Entered:
    """A session in another of one's organizations, in place of the one that asks; it ends when that
    would have ended. Raises `Error` 403, 404."""
    if principal.by_sso:
        raise errors.Error(
            403,
            "signed_in_by_sso",
            "The identity provider of one organization lets nobody in to another; log in with your "
            "password",
        )
    async with process.database.writing() as session:
        member = await identities.member_in(session, principal.identity_id, organization_id)
        if principal.identity_id is None or member is None:
            raise errors.not_found("Organization")
        return await enter(
            process,
            session,
            member,
            visitor,
            None,
            "switchOrganization",
            expires_at=principal.expires_at,
        )


async def _come(
    process: Process,
    visitor: Visitor,
    session: AsyncSession,
    member: Member,
    name: str | None,
    attempt: Attempt,
    refusal: errors.Error | None,
) -> Entered | None:
    """Of an invitation that is accepted; null where a code is needed to enter, or there is a
    `refusal`."""
    member.invitation_hash = member.invitation_expires_at = None
    if name is not None:
        member.name = name
    await sessions.end_all(session, process.sessions, member.id)
    assert member.identity is not None
    if refusal is None and not second_factor.is_on(member.identity):
        return await enter(process, session, member, visitor, attempt, "acceptInvitation")
    note(session, member, visitor, "acceptInvitation", ["password"])
    return None


async def _right(
    process: Process, found: Sequence[Identity], password: str, tries: int
) -> list[Identity]:
    """Those that the password is of."""
    await process.passwords.prepare()
    stored = [each.password_hash for each in found if each.password_hash is not None]
    fitting = await process.passwords.which(stored, password, tries)
    return [each for each in found if each.password_hash in fitting]


def _ended() -> errors.Error:
    return errors.Error(401, "invalid_challenge", "The log-in has ended; begin it anew")
