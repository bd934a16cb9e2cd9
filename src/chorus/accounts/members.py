"""Members: added with a password or invited, changed, removed; never the last owner.

Nobody below an owner may make an owner or touch one, API keys included. An invitation is a random
token that is shown once, to whoever invites; Chorus sends no mail. It is also how a member who
lost the password gets a new one: the old one works until the invitation is accepted.
"""

from __future__ import annotations

import re
import secrets as random
import uuid
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors, lists
from chorus.accounts import audit, identities, second_factor, sessions
from chorus.accounts.passwords import LONGEST, SHORTEST
from chorus.accounts.permissions import forbidden
from chorus.accounts.principal import Principal
from chorus.accounts.ring import forgotten
from chorus.accounts.secrets import digest
from chorus.accounts.sessions import SessionRing
from chorus.accounts.sso.policy import has_another_owner
from chorus.accounts.tables import Identity, Member, Organization
from chorus.db import breaks_unique, scoped
from chorus.errors import Problem, not_found
from chorus.wire import Found, SearchQuery

INVITATION_LASTS = timedelta(days=7)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*")
"""RFC 5321's dot-string and domain: no quotes, comments, numeric hosts or letters beyond ASCII."""
_LOCAL_PART = 64
KNOWN_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
"""What was taken as an address before: who has such a one logs in with it."""


def email_address(value: str) -> str:
    """The address in lower case. Raises `ValueError`."""
    if not EMAIL.fullmatch(value) or value.index("@") > _LOCAL_PART:
        raise ValueError("must be an e-mail address such as ada@example.com")
    return value.lower()


def known_email(value: str) -> str:
    """The address of somebody who may be a member already, in lower case. Raises `ValueError`."""
    if not KNOWN_EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address such as ada@example.com")
    return value.lower()


def good_password(value: str) -> str:
    """Raises `ValueError` for one that is too short or too long."""
    if not SHORTEST <= len(value) <= LONGEST:
        raise ValueError(f"must have {SHORTEST} to {LONGEST} characters")
    return value


async def page(
    session: AsyncSession,
    organization_id: uuid.UUID,
    wanted: SearchQuery,
) -> tuple[list[Member], Found]:
    """`search` is in the name or the e-mail address."""
    query = scoped(Member, organization_id)
    if search := wanted.wanted:
        text = sa.func.lower(Member.email + " " + sa.func.coalesce(Member.name, ""))
        query = query.where(text.contains(search.lower(), autoescape=True))
    return await lists.of(session, query, Member, wanted)


async def one(session: AsyncSession, organization_id: uuid.UUID, id: uuid.UUID) -> Member:
    """Raises `Error` 404."""
    query = scoped(Member, organization_id).where(Member.id == id)
    return await lists.one(session, query, "Member")


async def add(
    session: AsyncSession,
    organization_id: uuid.UUID,
    *,
    email: str,
    role: str,
    name: str | None,
    password_hash: str | None,
    now: datetime,
    password_is_own: bool = False,
) -> tuple[Member, str | None]:
    """The member and, without a password, the token of the invitation. With one, somebody new
    comes, whoever else has this address: who sets a password knows one person by it. Raises
    `Error` 409."""
    identity = None
    if password_hash is not None:
        identity = Identity(
            email=email, password_hash=password_hash, password_is_own=password_is_own
        )
    # Somebody with this address may come by the identity provider at this moment.
    await one_at_a_time(session, organization_id)
    member = Member(
        organization_id=organization_id, email=email, name=name, role=role, identity=identity
    )
    token = None if password_hash else _invite(member, now)
    session.add(member)
    try:
        await session.flush()
    except IntegrityError as error:
        if not breaks_unique(error, Member, "organization_id", "email"):
            raise
        raise errors.conflict(
            "member_exists",
            "There is a member with this e-mail address already",
            Problem("email", "Email is a member's already"),
        ) from None
    return member, token


async def change(
    session: AsyncSession,
    ring: SessionRing,
    principal: Principal,
    id: uuid.UUID,
    changes: dict[str, Any],
) -> Member:
    await one_at_a_time(session, principal.organization_id)
    member = await one(session, principal.organization_id, id)
    role: str = changes.get("role", member.role)
    if role != member.role:
        require_rank(principal, member.role, role)
        if member.role == "owner":
            await _require_another_owner(session, member)
        audit.note(session, role=[member.role, role])
    elif "name" in changes and member.id != principal.id:
        require_rank(principal, member.role)
    for name, value in changes.items():
        setattr(member, name, value)
    await session.flush()
    await forgotten(session, lambda: ring.forget_member(id))
    return member


async def remove(
    session: AsyncSession, ring: SessionRing, principal: Principal, id: uuid.UUID
) -> None:
    """With all of the member's sessions in this organization. What the person is elsewhere
    stays."""
    await one_at_a_time(session, principal.organization_id)
    member = await one(session, principal.organization_id, id)
    require_rank(principal, member.role)
    if member.role == "owner":
        await _require_another_owner(session, member)
    audit.note(session, email=member.email)
    await sessions.end_all(session, ring, id)
    identity_id = member.identity_id
    await session.delete(member)
    await session.flush()
    await identities.prune(session, identity_id)


async def invite_again(
    session: AsyncSession, principal: Principal, id: uuid.UUID, now: datetime
) -> tuple[Member, str]:
    """A new invitation; one that was there before ends."""
    member = await one(session, principal.organization_id, id)
    require_rank(principal, member.role)
    if principal.kind == "key" and member.identity_id is not None:
        raise forbidden("An API key may not set the password of a member: that takes an admin")
    token = _invite(member, now)
    await session.flush()
    return member, token


async def drop_factor(
    session: AsyncSession, ring: SessionRing, principal: Principal, id: uuid.UUID
) -> Member:
    """Nothing happens if there is none; elsewhere it stays. Raises `Error` 403, 404."""
    member = await one(session, principal.organization_id, id)
    require_rank(principal, member.role)
    if principal.kind == "key":
        raise forbidden("An API key may not take a second factor away: that takes an admin")
    if member.identity is not None and second_factor.is_on(member.identity):
        second_factor.remove(await identities.own(session, member))
    await sessions.end_all(session, ring, member.id, but=principal.session_id)
    await session.flush()
    return member


async def invited(
    session: AsyncSession, token: str, now: datetime, *, locked: bool = False
) -> Member:
    """Whose invitation it is. Raises `Error` 404 for none and for one that has ended."""
    query = sa.select(Member).where(Member.invitation_hash == digest(token))
    member = await session.scalar(query.with_for_update() if locked else query)
    if member is None or not is_invited(member, now):
        raise not_found("Invitation")
    return member


def is_invited(member: Member, now: datetime) -> bool:
    """Whether there is an invitation that has not ended."""
    return member.invitation_expires_at is not None and member.invitation_expires_at > now


def require_rank(principal: Principal, *roles: str) -> None:
    """Raises `Error` 403 if one of the roles is an owner's and the principal is none."""
    if "owner" in roles and principal.role != "owner":
        who = "An API key" if principal.kind == "key" else "An admin"
        raise forbidden(f"{who} may not make, change or remove an owner: that takes an owner")


def _invite(member: Member, now: datetime) -> str:
    token = random.token_urlsafe(32)
    member.invitation_hash = digest(token)
    member.invitation_expires_at = now + INVITATION_LASTS
    return token


async def one_at_a_time(session: AsyncSession, organization_id: uuid.UUID) -> None:
    """Whoever changes who is a member. Else two owners could remove each other at the same
    moment."""
    row = sa.select(Organization.id).where(Organization.id == organization_id)
    await session.execute(row.with_for_update(key_share=True))


async def _require_another_owner(session: AsyncSession, member: Member) -> None:
    """One with a password, who can log in whatever becomes of an identity provider."""
    if not await has_another_owner(session, member):
        raise errors.conflict(
            "last_owner",
            "This is the organization's last owner with a password; make another member who has "
            "one an owner first",
        )
