"""Signing in by an organization's identity provider: there, back, and in.

1. `begin`: the provider's document is read, and the browser is sent there with a state, a nonce and
   a challenge (PKCE); what belongs to them is kept in a row (`flows.py`).
2. `finish`: the browser comes back with a code. The row is used up, the code exchanged, the token
   checked (`id_token.py`), its address held to the organization's domains.
3. Who that is: the member that this issuer and subject are linked to. Otherwise somebody who was
   invited, or new, becomes one by it. Somebody who has a password already is never taken for the
   one with the same address: `link` asks for that password, once.

The provider is believed about its own organization alone: the session is `by_sso`, and reaches
nothing of what its person is elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import secrets as random
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import audit, identities, members, second_factor
from chorus.accounts.entering import (
    Entered,
    Visitor,
    codes_of,
    count,
    enter,
    note,
    note_failed,
)
from chorus.accounts.sso import connections, flows, id_token, provider
from chorus.accounts.sso.policy import domain_of
from chorus.accounts.sso.provider import Provider, ProviderFailed
from chorus.accounts.sso.tables import SsoConnection, SsoLink
from chorus.accounts.tables import Identity, Member
from chorus.accounts.throttle import Attempt
from chorus.db import scoped
from chorus.outbound import Outbound
from chorus.process import Process

SESSION_LASTS = timedelta(hours=24)
"""Who is taken out at the provider is out here a day later, at the latest."""
_SCOPE = "openid email profile"


@dataclass(frozen=True, slots=True)
class Return:
    """What the provider sent the browser back with. `organization_id` is of the address that it
    came back to."""

    organization_id: uuid.UUID
    state: str
    code: str | None
    error: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider named. `email` is verified, in lower case, and in one of the domains."""

    issuer: str
    subject: str
    email: str
    name: str | None


def redirect_uri(process: Process, organization_id: uuid.UUID) -> str:
    """Each organization has its own, so that one provider's answer cannot be taken for another's
    (RFC 9700 §4.4)."""
    return f"{process.settings.url}/dashboard/sso/{organization_id}"


async def begin(
    process: Process, net: Outbound, visitor: Visitor, organization_id: uuid.UUID, browser: str
) -> str:
    """Where to send the browser, whose cookie is to hold `browser`. Raises `Error` 404, 429, 503
    with what the provider answered."""
    await count(process, Attempt(None, visitor.address))
    async with process.database.reading() as session:
        connection = await connections.one(session, organization_id)
    try:
        found = await provider.discover(net, process.settings, connection.issuer)
    except ProviderFailed as failure:
        raise _failed(failure) from None
    verifier, nonce = random.token_urlsafe(48), random.token_urlsafe(32)
    remembered = {
        "provider": asdict(found),
        "client": connection.client_id,
        "verifier": verifier,
        "nonce": nonce,
    }
    async with process.database.writing() as session:
        now = process.clock.utcnow()
        state = await flows.begin(
            session, process.secrets, "sign_in", organization_id, browser, remembered, now
        )
    return provider.authorization_url(
        found,
        response_type="code",
        client_id=connection.client_id,
        redirect_uri=redirect_uri(process, organization_id),
        scope=_SCOPE,
        state=state,
        nonce=nonce,
        code_challenge=_challenge(verifier),
        code_challenge_method="S256",
    )


async def finish(
    process: Process, net: Outbound, visitor: Visitor, returned: Return, browser: str | None
) -> Entered:
    """Raises `Error` 401 for what is not this browser's, is used up or does not check out, and for
    a password that is needed once (`link_required`); 403 for who may not come; 503 for a provider
    that fails."""
    organization_id = returned.organization_id
    async with process.database.writing() as session:
        kept = await flows.take(
            session,
            process.secrets,
            "sign_in",
            organization_id,
            returned.state,
            browser,
            process.clock.utcnow(),
        )
    if kept is None or browser is None:
        raise _ended()
    found = Provider(**kept["provider"])
    if returned.issuer != found.issuer and (returned.issuer is not None or found.names_itself):
        raise _refused("The answer is not of the identity provider that was asked")
    if returned.error is not None or returned.code is None:
        raise _refused(_sentence_of(returned.error))
    async with process.database.reading() as session:
        connection = await connections.of(session, organization_id)
        allowed = [row.domain for row in await connections.domains(session, organization_id)]
    if connection is None or (connection.issuer, connection.client_id) != (
        found.issuer,
        kept["client"],
    ):
        raise _ended()  # the organization has another one since
    claims = await _claims(process, net, found, connection, returned.code, kept)
    person = _person(found.issuer, claims, allowed)
    async with process.database.writing() as session:
        # One after the other: else somebody who comes twice at once would come about twice.
        await members.one_at_a_time(session, organization_id)
        member = await _member(session, process, visitor, connection, person)
        if member is not None:
            return await _enter(process, session, member, visitor, "createSsoSession")
        state = await flows.begin(
            session,
            process.secrets,
            "link",
            organization_id,
            browser,
            asdict(person),
            process.clock.utcnow(),
        )
    raise errors.Error(
        401,
        "link_required",
        f"{person.email} has a password here already; give it once, and the identity provider will "
        "do from then on",
        extra={"challenge": state, "email": person.email},
    )


async def link(
    process: Process,
    visitor: Visitor,
    organization_id: uuid.UUID,
    challenge: str,
    password: str,
    code: str | None,
    browser: str | None,
) -> Entered:
    """By somebody who came back from the provider in this browser, and knows the password, and a
    code where there is a second factor. Raises `Error` 400 for what is wrong of these, 401, 403,
    429."""
    now = process.clock.utcnow()
    known: tuple[flows.Purpose, uuid.UUID, str, str | None, datetime]
    known = ("link", organization_id, challenge, browser, now)
    async with process.database.reading() as session:
        kept = await flows.look(session, process.secrets, *known)
        member = None if kept is None else await _with_address(session, organization_id, kept)
    if member is None or member.identity is None:
        raise _ended()
    attempt = Attempt(member.email, visitor.address)
    await count(process, attempt)
    stored = member.identity.password_hash
    if not await process.passwords.matches(stored, password):
        note_failed(process, visitor, member, "password")
        raise errors.invalid_field("password", "Password is wrong")
    codes = codes_of(member.identity.id, visitor)
    if second_factor.is_on(member.identity):
        if code is None:
            raise errors.invalid_field("code", "Code is required: there is a second factor")
        await count(process, codes)
    async with process.database.writing() as session:
        kept = await flows.look(session, process.secrets, *known)
        identity = await identities.locked(session, member.identity_id)
        mine = await identities.member_in(session, member.identity_id, organization_id)
        if kept is None or identity is None or mine is None or identity.password_hash != stored:
            raise _ended()  # changed or removed since it was read
        if second_factor.is_on(identity):
            if code is None or not second_factor.accept(process.secrets, identity, code, now):
                note_failed(process, visitor, mine, "code")
                raise second_factor.wrong_code()
            await codes.succeeded(session, now)
        if await flows.take(session, process.secrets, *known) is None:
            raise _ended()
        await attempt.succeeded(session, now)
        await _link(session, mine, Person(**kept))
        return await _enter(process, session, mine, visitor, "linkSso")


async def _claims(
    process: Process,
    net: Outbound,
    found: Provider,
    connection: SsoConnection,
    code: str,
    kept: dict[str, Any],
) -> dict[str, Any]:
    try:
        tokens = await provider.exchange(
            net,
            process.settings,
            found,
            client_id=connection.client_id,
            client_secret=process.secrets.decrypt(connection.client_secret),
            code=code,
            verifier=kept["verifier"],
            redirect_uri=redirect_uri(process, connection.organization_id),
        )
        keys = await provider.keys(net, process.settings, found)
        claims = id_token.claims_of(
            tokens.id_token,
            keys,
            issuer=found.issuer,
            client_id=connection.client_id,
            nonce=kept["nonce"],
        )
        if "email" not in claims and found.userinfo_endpoint and tokens.access_token:
            more = await provider.userinfo(net, process.settings, found, tokens.access_token)
            if more.get("sub") != claims["sub"]:
                raise id_token.IdTokenWrong("speaks of two people")
            claims = more | claims
    except ProviderFailed as failure:
        raise _failed(failure) from None
    except id_token.IdTokenWrong as wrong:
        raise _refused(f"The identity provider's answer {wrong}") from None
    return claims


def _person(issuer: str, claims: dict[str, Any], allowed: list[str]) -> Person:
    """Raises `Error` 401, 403."""
    email, name = claims.get("email"), claims.get("name")
    if not isinstance(email, str):
        raise _refused("The identity provider tells no e-mail address: let it send the claim email")
    try:
        email = members.email_address(email)
    except ValueError as wrong:
        raise _refused(f"The identity provider's e-mail address {wrong}") from None
    if not _is_verified(claims):
        raise errors.Error(
            403,
            "email_not_verified",
            f"The identity provider does not say that {email} is verified",
        )
    if domain_of(email) not in allowed:
        raise errors.Error(
            403, "email_not_allowed", f"{email} is in no domain that this organization allows"
        )
    shown = " ".join(name.split())[:255] if isinstance(name, str) and name.isprintable() else ""
    return Person(issuer, claims["sub"], email, shown or None)


def _is_verified(claims: dict[str, Any]) -> bool:
    """Entra ID never says `email_verified`, but whether whoever owns the address's domain is proved
    (`xms_edov`, written as true or as "1"); that counts where the other is not said at all.
    https://learn.microsoft.com/en-us/entra/identity-platform/migrate-off-email-claim-authorization"""
    if "email_verified" in claims:
        return claims["email_verified"] is True
    return claims.get("xms_edov") in (True, "1", "true")


async def _member(
    session: AsyncSession,
    process: Process,
    visitor: Visitor,
    connection: SsoConnection,
    person: Person,
) -> Member | None:
    """Who comes in; null for somebody who has to show a password first. Raises `Error` 403."""
    organization_id = connection.organization_id
    linked = await session.scalar(
        scoped(SsoLink, organization_id).where(
            SsoLink.issuer == person.issuer, SsoLink.subject == person.subject
        )
    )
    if linked is not None:
        return await members.one(session, organization_id, linked.member_id)
    member = await _with_address(session, organization_id, asdict(person))
    if member is None:
        if connection.default_role is None:
            raise errors.Error(
                403, "not_invited", "Nobody has invited you to this organization; ask an admin"
            )
        member = Member(
            organization_id=organization_id,
            email=person.email,
            name=person.name,
            role=connection.default_role,
            identity=Identity(email=person.email),
        )
        session.add(member)
        await session.flush()
        action, fields = "createMember", ["email", "role"]
    elif member.identity is not None and member.identity.password_hash is not None:
        return None
    elif member.role == "owner" or not members.is_invited(member, process.clock.utcnow()):
        # Who decides about the provider, an admin, must not come to be an owner by it.
        raise errors.Error(
            403,
            "not_linked",
            "You are a member already, but not linked to this account of the identity provider; "
            "ask an admin for an invitation, and open its link",
        )
    else:
        member.identity = member.identity or Identity(email=person.email)
        member.name = member.name or person.name
        member.invitation_hash = member.invitation_expires_at = None
        await session.flush()
        action, fields = "acceptInvitation", []
    await _link(session, member, person)
    audit.note(session, by="identity provider")
    note(session, member, visitor, action, fields)
    return member


async def _with_address(
    session: AsyncSession, organization_id: uuid.UUID, person: dict[str, Any]
) -> Member | None:
    query = scoped(Member, organization_id).where(Member.email == person["email"])
    return await session.scalar(query)


async def _link(session: AsyncSession, member: Member, person: Person) -> None:
    """A link to another account at a provider, that the member had, is gone."""
    await session.execute(sa.delete(SsoLink).where(SsoLink.member_id == member.id))
    session.add(
        SsoLink(
            organization_id=member.organization_id,
            member_id=member.id,
            issuer=person.issuer,
            subject=person.subject,
        )
    )
    await session.flush()


async def _enter(
    process: Process, session: AsyncSession, member: Member, visitor: Visitor, action: str
) -> Entered:
    ends = process.clock.utcnow() + SESSION_LASTS
    attempt = Attempt(None, visitor.address)  # what `begin` counted
    return await enter(
        process, session, member, visitor, attempt, action, expires_at=ends, by_sso=True
    )


def _challenge(verifier: str) -> str:
    made = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _sentence_of(error: str | None) -> str:
    if error == "access_denied":
        return "The identity provider did not let you in; ask whoever runs it for access"
    return f"The identity provider answered with {error or 'neither a code nor an error'}"


def _ended() -> errors.Error:
    return errors.Error(
        401, "sign_in_ended", "This sign-in has ended, or began in another browser; begin it anew"
    )


def _refused(sentence: str) -> errors.Error:
    return errors.Error(401, "sign_in_refused", sentence)


def _failed(failure: ProviderFailed) -> errors.Error:
    sentence = f"The identity provider could not be asked: {failure}"
    return errors.Error(503, "identity_provider_failed", sentence)
