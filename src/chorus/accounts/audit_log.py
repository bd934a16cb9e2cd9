"""Reading the audit log, which `audit.py` writes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import lists
from chorus.accounts.schemas import AuditEntryOut, AuditExportQuery, AuditFilters, AuditQuery
from chorus.accounts.tables import AuditEntry
from chorus.db import Database
from chorus.wire import Found

_entries = cast("sa.Table", AuditEntry.__table__).c


async def page(
    session: AsyncSession, organization_id: uuid.UUID, wanted: AuditQuery
) -> tuple[list[AuditEntryOut], Found]:
    """One page of entries; `since` is included, `until` is not."""
    query = sa.select(*_entries).where(*_conditions(organization_id, wanted))
    rows, found = await lists.page(session, query, (_entries.created_at, _entries.id), wanted)
    return [AuditEntryOut.model_validate(dict(row)) for row in rows], found


async def of_resource(
    session: AsyncSession,
    organization_id: uuid.UUID,
    resource: str,
    id: uuid.UUID,
    *,
    limit: int,
    detail: tuple[str, str] | None = None,
) -> list[AuditEntryOut]:
    """The latest changes of one thing, for its own page; `detail`: those that noted this."""
    wanted = (
        sa.select(*_entries)
        .where(
            _entries.organization_id == organization_id,
            _entries.resource == resource,
            _entries.resource_id == id,
        )
        .order_by(_entries.created_at.desc(), _entries.id.desc())
        .limit(limit)
    )
    if detail is not None:
        name, value = detail
        wanted = wanted.where(_entries.detail[name].as_string() == value)
    rows = (await session.execute(wanted)).mappings()
    return [AuditEntryOut.model_validate(dict(row)) for row in rows]


def exported(
    database: Database, organization_id: uuid.UUID, wanted: AuditExportQuery
) -> AsyncGenerator[Sequence[sa.RowMapping], None]:
    """The rows of all entries that fit, as `lists.batches` gives them."""
    query = sa.select(*_entries).where(*_conditions(organization_id, wanted))
    return lists.batches(database, query, (_entries.created_at, _entries.id), wanted.sort)


def _conditions(organization_id: uuid.UUID, wanted: AuditFilters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [_entries.organization_id == organization_id]
    given: list[tuple[sa.ColumnElement[Any], Any]] = [
        (_entries.actor, wanted.actor),
        (_entries.actor_id, wanted.actor_id),
        (_entries.action, wanted.action),
        (_entries.resource, wanted.resource),
        (_entries.resource_id, wanted.resource_id),
    ]
    found += [column == value for column, value in given if value is not None]
    if wanted.since is not None:
        found.append(_entries.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(_entries.created_at < wanted.until)
    return found
