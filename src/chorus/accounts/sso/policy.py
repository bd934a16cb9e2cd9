"""Who may not log in with a password, because the organization wants its provider asked.

That is a rule of one organization for its own members, so it needs no proof that a domain is
theirs: whoever is a member elsewhere too logs in there as before.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.sso.tables import SsoConnection, SsoDomain
from chorus.accounts.tables import Identity, Member
from chorus.errors import Error


def domain_of(email: str) -> str:
    return email.rpartition("@")[2].lower()


def requires(
    organization_id: sa.SQLColumnExpression[uuid.UUID], email: str
) -> sa.ColumnElement[bool]:
    """Whether an organization requires its provider of members with this address."""
    return (
        sa.exists()
        .where(
            SsoConnection.organization_id == organization_id,
            SsoConnection.required.is_(True),
            SsoDomain.organization_id == SsoConnection.organization_id,
            SsoDomain.domain == domain_of(email),
        )
        .correlate(Member)
    )


async def refusal_of_password(session: AsyncSession, member: Member) -> Error | None:
    """Why the member may not come in with a password; None for who may. The last owner who has one
    always may: the provider could be set up wrongly."""
    here = sa.literal(member.organization_id, sa.Uuid())
    if not await session.scalar(sa.select(requires(here, member.email))):
        return None
    if member.role == "owner" and not await has_another_owner(session, member):
        return None
    return Error(
        403,
        "sso_required",
        "Your organization wants you to sign in by its identity provider, not with a password",
        extra={"organizationId": str(member.organization_id)},
    )


async def has_another_owner(session: AsyncSession, member: Member) -> bool:
    """One who can log in with a password: neither an invitation is one yet, nor somebody who comes
    by a provider alone."""
    others = (
        sa.exists()
        .where(Member.organization_id == member.organization_id, Member.role == "owner")
        .where(Member.id != member.id, Member.identity_id == Identity.id)
        .where(Identity.password_hash.is_not(None))
    )
    return bool(await session.scalar(sa.select(others)))
