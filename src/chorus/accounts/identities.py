"""Identities: who somebody is, apart from where they are a member.

One identity has a password, perhaps a second factor, and belongs to its person. A member says that
it belongs to an organization. What an organization may do it does to its member: who sets a new
password or takes a second factor away there, and the identity is a member elsewhere too, first
parts the member from it (`own`), so that no organization reaches into another one.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.accounts.principal import Role
from chorus.accounts.sso.policy import requires
from chorus.accounts.tables import Identity, Member, Organization

ACCOUNTS = 3
"""Of one address: so many passwords are compared, always."""
MOST_MEMBERSHIPS = 100
_KEPT = (
    *("password_hash", "password_is_own"),
    *("second_factor_secret", "second_factor_at", "second_factor_step", "recovery_hashes"),
)


@dataclass(frozen=True, slots=True)
class Membership:
    """An organization of somebody's."""

    id: uuid.UUID
    name: str
    role: Role


async def of_address(
    session: AsyncSession, email: str, organization_id: uuid.UUID | None = None
) -> Sequence[Identity]:
    """Those with this address and a password, of one organization or of all. Of many, those that
    are there the longest: whoever adds one with somebody's address later cannot push the others
    out."""
    query = sa.select(Identity).where(Identity.email == email, Identity.password_hash.is_not(None))
    if organization_id is not None:
        theirs = sa.select(Member.identity_id).where(
            Member.organization_id == organization_id, Member.email == email
        )
        query = query.where(Identity.id.in_(theirs))
    query = query.order_by(Identity.created_at, Identity.id).limit(ACCOUNTS)
    return (await session.scalars(query)).all()


async def locked(session: AsyncSession, id: uuid.UUID | None) -> Identity | None:
    """As it is now, and nobody else changes it, nor uses the same code up."""
    if id is None:
        return None  # of a member who has not come yet; SQLite would look through all of them
    return await session.scalar(
        sa.select(Identity)
        .where(Identity.id == id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def latest(
    session: AsyncSession, email: str, ids: Sequence[uuid.UUID], organization_id: uuid.UUID | None
) -> Member | None:
    """Where somebody logs in to, with a password, who names no organization: the one that was used
    last, and none that is suspended, or wants its identity provider asked, if there is another."""
    query = (
        sa.select(Member)
        .join(Organization, Organization.id == Member.organization_id)
        .where(Member.identity_id.in_(ids))
    )
    if organization_id is not None:
        query = query.where(Member.organization_id == organization_id)
    return await session.scalar(
        query.order_by(
            Organization.suspended_at.is_not(None),
            requires(Member.organization_id, email),
            sa.func.coalesce(Member.last_login_at, Member.created_at).desc(),
            Member.id.desc(),
        ).limit(1)
    )


async def member_in(
    session: AsyncSession, identity_id: uuid.UUID | None, organization_id: uuid.UUID
) -> Member | None:
    return await session.scalar(
        sa.select(Member).where(
            Member.identity_id == identity_id, Member.organization_id == organization_id
        )
    )


async def members_of(session: AsyncSession, identity_id: uuid.UUID) -> Sequence[Member]:
    query = sa.select(Member).where(Member.identity_id == identity_id)
    return (await session.scalars(query.limit(MOST_MEMBERSHIPS))).all()


async def memberships(
    session: AsyncSession, member: Member, *, by_sso: bool
) -> Sequence[Membership]:
    """All of the member's person, by the name of the organization. `by_sso`: this one alone,
    because one organization's identity provider is not to learn of others."""
    query = (
        sa.select(Organization.id, Organization.name, Member.role)
        .join(Member, Member.organization_id == Organization.id)
        .where(Member.identity_id == member.identity_id, Organization.suspended_at.is_(None))
    )
    if by_sso:
        query = query.where(Member.id == member.id)
    found = await session.execute(
        query.order_by(Organization.name, Organization.id).limit(MOST_MEMBERSHIPS)
    )
    return [Membership(id, name, role) for id, name, role in found]  # pyright: ignore[reportArgumentType]  the column allows these


async def own(session: AsyncSession, member: Member, password_hash: str | None = None) -> Identity:
    """The identity that is this member's alone. One that is a member elsewhere too stays as it is,
    and the member gets another one with the same second factor, so that nobody gets round it. With
    `password_hash`, that password is its person's from now on."""
    found = await locked(session, member.identity_id)
    if found is None:
        assert password_hash is not None
        found = Identity(email=member.email, password_hash=password_hash)
    elif await _is_elsewhere(session, found.id, member.id):
        kept = {name: getattr(found, name) for name in _KEPT}
        found = Identity(email=member.email, **kept)
    if password_hash is not None:
        found.password_hash, found.password_is_own = password_hash, True
    session.add(found)
    member.identity = found
    await session.flush()
    return found


async def prune(session: AsyncSession, id: uuid.UUID | None) -> None:
    """Delete an identity that is a member nowhere any more; nothing happens to another."""
    # Locked first, because somebody may be joining an organization by it at this moment.
    found = await locked(session, id)
    if found is None:
        return
    if not await session.scalar(sa.select(sa.exists().where(Member.identity_id == id))):
        await session.delete(found)
        await session.flush()


async def _is_elsewhere(session: AsyncSession, id: uuid.UUID, member_id: uuid.UUID) -> bool:
    others = sa.exists().where(Member.identity_id == id, Member.id != member_id)
    return bool(await session.scalar(sa.select(others)))
