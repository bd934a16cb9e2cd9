"""Organizations: made, changed by themselves within the operator's ceilings, suspended."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts.ring import forgotten
from chorus.accounts.tables import Organization
from chorus.errors import Problem, label, not_found
from chorus.settings import Settings

_CEILINGS = (
    ("rate_limit_per_minute", "rate_limit_ceiling", "rateLimitPerMinute"),
    ("max_concurrent_calls", "concurrent_calls_ceiling", "maxConcurrentCalls"),
)


async def one(session: AsyncSession, id: uuid.UUID, *, lock: bool = False) -> Organization:
    """Raises `Error` 404."""
    query = sa.select(Organization).where(Organization.id == id)
    found = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if found is None:
        raise not_found("Organization")
    return found


async def create(session: AsyncSession, name: str) -> Organization:
    organization = Organization(name=name)
    session.add(organization)
    await session.flush()
    return organization


def ceiling_of_calls(organization: Organization, settings: Settings) -> int:
    """How many calls at once the organization may allow itself."""
    return organization.concurrent_calls_ceiling or settings.max_concurrent_calls


async def change(
    session: AsyncSession, settings: Settings, id: uuid.UUID, changes: dict[str, Any]
) -> Organization:
    """Raises `Error` 400 for a limit above its ceiling. A limit of null becomes the ceiling."""
    organization = await one(session, id, lock=True)
    problems: list[Problem] = []
    for name, ceiling_name, field in _CEILINGS:
        if name not in changes:
            continue
        ceiling: int | None = getattr(organization, ceiling_name)
        if name == "max_concurrent_calls":
            ceiling_now = ceiling_of_calls(organization, settings)
        else:
            ceiling_now = ceiling
        wish: int | None = changes[name]
        if wish is None:
            changes[name] = ceiling
        elif ceiling_now is not None and wish > ceiling_now:
            problems.append(
                Problem(field, f"{label(field)} must be at most {ceiling_now}, says the operator")
            )
    if problems:
        raise errors.invalid(*problems)
    for name, value in changes.items():
        setattr(organization, name, value)
    await session.flush()
    return organization


async def set_ceilings(
    session: AsyncSession, id: uuid.UUID, ceilings: dict[str, int | None]
) -> Organization:
    """By the operator: `rate_limit_ceiling`, `concurrent_calls_ceiling`; null takes one away. A
    limit above its new ceiling comes down to it; without a limit there is the ceiling."""
    organization = await one(session, id, lock=True)
    for name, ceiling_name, _ in _CEILINGS:
        if ceiling_name not in ceilings:
            continue
        before: int | None = getattr(organization, ceiling_name)
        limit: int | None = getattr(organization, name)
        ceiling = ceilings[ceiling_name]
        if limit is None or limit == before or (ceiling is not None and limit > ceiling):
            setattr(organization, name, ceiling)
        setattr(organization, ceiling_name, ceiling)
    await session.flush()
    await forgotten(session)
    return organization


async def suspend(session: AsyncSession, id: uuid.UUID, when: datetime | None) -> bool:
    """Suspend, or with null let go on; returns whether that changed anything."""
    organization = await one(session, id, lock=True)
    if (organization.suspended_at is None) == (when is None):
        return False
    organization.suspended_at = when
    await session.flush()
    await forgotten(session)
    return True


async def is_suspended(session: AsyncSession, id: uuid.UUID) -> bool:
    query = sa.select(Organization.suspended_at).where(Organization.id == id)
    return await session.scalar(query) is not None
