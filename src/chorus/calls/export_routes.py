"""GET /v1/calls/export."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from chorus import errors, exports
from chorus.accounts import audit
from chorus.calls import queries
from chorus.calls.schemas import ExportedCall, ExportedCallWithTexts, ExportQuery
from chorus.route import InPrincipal, InProcess, failures, reading_router

export_routes = reading_router("Calls")

MOST = 1_000_000
"""Calls of one export."""

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: exports.answer("The calls, as they are read."),
    **failures(429),
}


@export_routes.get(
    "/calls/export",
    operation_id="exportCalls",
    summary="Export calls",
    response_class=StreamingResponse,
    responses=_ANSWERS,
)
async def export_calls(
    request: Request,
    process: InProcess,
    principal: InPrincipal,
    query: Annotated[ExportQuery, Query()],
) -> StreamingResponse:
    """Calls as CSV or as JSON lines, with the filters of the list; at most a million at once, and
    two exports of an organization at a time. The audit log has who asked, and by which filters. In
    CSV, objects are JSON, and a text that a spreadsheet would take for a formula begins with an
    apostrophe."""
    place = exports.Place.take(request, principal.organization_id)
    try:
        async with process.database.reading() as session:
            count = await queries.count(session, principal.organization_id, query, MOST)
        if count > MOST:
            raise errors.invalid_field(
                "from", f"At most {MOST} calls can be exported at once: narrow from and to"
            )
        async with process.database.writing() as session:
            audit.note(session, calls=count, format=query.format, texts=query.texts)
            audit.record(
                session,
                principal,
                "exportCalls",
                "calls",
                None,
                fields=sorted(exports.asked(query)),
                request_id=request.state.request_id,
                address=request.state.address,
            )
    except BaseException:
        place.free()
        raise
    calls = queries.exported(process.database, principal.organization_id, query)
    kind = ExportedCallWithTexts if query.texts else ExportedCall
    lines = exports.lines(calls, kind, query.format, queries.as_exported)
    return exports.Export(lines, query.format, "calls", place)
