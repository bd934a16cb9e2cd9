"""GET /v1/audit-log/export, and how long entries are kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from chorus import exports
from chorus.accounts import audit, audit_log
from chorus.accounts.schemas import AuditEntryOut, AuditExportQuery
from chorus.accounts.tables import AuditEntry, Organization
from chorus.db import Database
from chorus.route import InPrincipal, InProcess, failures, reading_router

export_routes = reading_router("Accounts")
_BATCH = 1000


@export_routes.get(
    "/audit-log/export",
    operation_id="exportAuditLog",
    summary="Export the audit log",
    response_class=StreamingResponse,
    responses={200: exports.answer("The entries, as they are read."), **failures(403, 429)},
)
async def export_audit_log(
    request: Request,
    process: InProcess,
    principal: InPrincipal,
    query: Annotated[AuditExportQuery, Query()],
) -> StreamingResponse:
    """As CSV or as JSON lines, with the filters of the list; the newest first unless `sort` says
    otherwise. That it was exported is an entry itself."""
    place = exports.Place.take(request, principal.organization_id)
    try:
        async with process.database.writing() as session:
            audit.note(session, format=query.format)
            audit.record(
                session,
                principal,
                "exportAuditLog",
                "audit-log",
                None,
                fields=sorted(exports.asked(query)),
                request_id=request.state.request_id,
                address=request.state.address,
            )
    except BaseException:
        place.free()
        raise
    entries = audit_log.exported(process.database, principal.organization_id, query)
    lines = exports.lines(entries, AuditEntryOut, query.format)
    return exports.Export(lines, query.format, "audit-log", place)


async def purge(database: Database, now: datetime) -> int:
    """Delete the entries that are older than their organization keeps them; returns how many."""
    async with database.reading() as session:
        found = await session.execute(
            sa.select(Organization.id, Organization.audit_retention_days).where(
                Organization.audit_retention_days.is_not(None)
            )
        )
        rules = [(id, days) for id, days in found if days is not None]
    gone = 0
    for organization_id, days in rules:
        old = sa.select(AuditEntry.id).where(
            AuditEntry.organization_id == organization_id,
            AuditEntry.created_at < now - timedelta(days=days),
        )
        while True:
            # Some at a time: others wait to write.
            async with database.writing() as session:
                some = (await session.scalars(old.limit(_BATCH))).all()
                await session.execute(sa.delete(AuditEntry).where(AuditEntry.id.in_(some)))
            gone += len(some)
            if len(some) < _BATCH:
                break
    return gone
