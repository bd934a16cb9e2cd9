"""An organization's identity provider: set, looked at, taken away; and its domains.

Whoever may not log in any more after a change is logged out with it: by password where the provider
is required now, by the provider where it is another one. The one who makes the change stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts import audit
from chorus.accounts.principal import Principal
from chorus.accounts.ring import forgotten
from chorus.accounts.secrets import Secrets
from chorus.accounts.sessions import SessionRing
from chorus.accounts.sso.tables import SsoConnection, SsoDomain
from chorus.accounts.tables import Member, MemberSession, Organization
from chorus.db import scoped, utcnow
from chorus.errors import invalid_field, not_found
from chorus.settings import Settings
from chorus.wire import is_plain_http

MOST_FOUND = 20
"""Organizations of one domain that somebody is shown."""


@dataclass(frozen=True, slots=True)
class Found:
    """An organization that one can sign in to by its provider."""

    id: uuid.UUID
    name: str


async def of(session: AsyncSession, organization_id: uuid.UUID) -> SsoConnection | None:
    return await session.scalar(scoped(SsoConnection, organization_id))


async def one(session: AsyncSession, organization_id: uuid.UUID) -> SsoConnection:
    """Raises `Error` 404."""
    found = await of(session, organization_id)
    if found is None:
        raise not_found("Identity provider")
    return found


async def domains(session: AsyncSession, organization_id: uuid.UUID) -> Sequence[SsoDomain]:
    """By their names."""
    return (
        await session.scalars(scoped(SsoDomain, organization_id).order_by(SsoDomain.domain))
    ).all()


async def put(
    session: AsyncSession,
    settings: Settings,
    secrets: Secrets,
    ring: SessionRing,
    principal: Principal,
    wish: dict[str, Any],
) -> SsoConnection:
    """Set all of it; without a `client_secret` the stored one stays, as long as it is for the same
    issuer and client. Raises `Error` 400."""
    organization_id = principal.organization_id
    if is_plain_http(wish["issuer"]) and not settings.allow_private_addresses:
        raise invalid_field("issuer", "Issuer must begin with https://")
    secret: str | None = wish["client_secret"]
    row = await of(session, organization_id)
    moved = row is not None and (row.issuer, row.client_id) != (wish["issuer"], wish["client_id"])
    if secret is None and (row is None or moved):
        # Else a secret would be sent to whoever an admin names, and shown to nobody means that.
        raise invalid_field("clientSecret", "Client secret is required with a new issuer or client")
    if row is None:
        row = SsoConnection(organization_id=organization_id)
        session.add(row)
    for name in ("issuer", "client_id", "default_role", "required"):
        setattr(row, name, wish[name])
    row.updated_at = utcnow()  # also if only the domains are others
    if secret is not None:
        row.client_secret = secrets.encrypt(secret)
    await _set_domains(session, organization_id, wish["domains"])
    await session.flush()
    if moved:
        await _log_out(session, principal, by_sso=True)
    if row.required:
        await _log_out(session, principal, by_sso=False, domains=wish["domains"])
    await forgotten(session, lambda: ring.forget_organization(organization_id))
    audit.note(session, issuer=row.issuer, required=row.required, defaultRole=row.default_role)
    return row


async def remove(session: AsyncSession, ring: SessionRing, principal: Principal) -> SsoConnection:
    """Which accounts at the provider members are stays known, for the day that it comes back.
    Raises `Error` 404."""
    row = await one(session, principal.organization_id)
    await session.delete(row)
    await session.execute(
        sa.delete(SsoDomain).where(SsoDomain.organization_id == principal.organization_id)
    )
    await session.flush()
    await _log_out(session, principal, by_sso=True)
    await forgotten(session, lambda: ring.forget_organization(principal.organization_id))
    return row


async def mark_verified(
    session: AsyncSession, organization_id: uuid.UUID, domain: str, now: datetime
) -> None:
    """Raises `Error` 400 if it is none of the organization's domains (any more)."""
    query = scoped(SsoDomain, organization_id).where(SsoDomain.domain == domain)
    row = await session.scalar(query)
    if row is None:
        raise invalid_field("domain", "Domain is none of the identity provider's")
    row.verified_at = row.verified_at or now
    await session.flush()


async def find(session: AsyncSession, domain: str) -> list[Found]:
    """The organizations whose the domain is, proved by its DNS, by name."""
    found = await session.execute(
        sa.select(Organization.id, Organization.name)
        .join(SsoDomain, SsoDomain.organization_id == Organization.id)
        .where(SsoDomain.domain == domain, SsoDomain.verified_at.is_not(None))
        .where(Organization.suspended_at.is_(None))
        .order_by(Organization.name, Organization.id)
        .limit(MOST_FOUND)
    )
    return [Found(id, name) for id, name in found]


async def _set_domains(
    session: AsyncSession, organization_id: uuid.UUID, wanted: list[str]
) -> None:
    known = {row.domain: row for row in await domains(session, organization_id)}
    for domain in known.keys() - set(wanted):
        await session.delete(known[domain])
    for domain in wanted:
        if domain not in known:
            session.add(SsoDomain(organization_id=organization_id, domain=domain))


async def _log_out(
    session: AsyncSession, principal: Principal, *, by_sso: bool, domains: Sequence[str] = ()
) -> None:
    """All sessions of the organization that came about in this way, but the one that asks; with
    `domains`, of members with such an address."""
    organization_id = principal.organization_id
    query = sa.delete(MemberSession).where(
        MemberSession.organization_id == organization_id,
        MemberSession.by_sso.is_(by_sso),
        MemberSession.id != principal.session_id,
    )
    if domains:
        theirs = sa.or_(*(Member.email.endswith(f"@{name}", autoescape=True) for name in domains))
        of_them = sa.select(Member.id).where(Member.organization_id == organization_id, theirs)
        query = query.where(MemberSession.member_id.in_(of_them))
    await session.execute(query.execution_options(synchronize_session=False))
