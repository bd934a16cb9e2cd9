"""GET /v1/calls/export."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chorus import errors
from chorus.accounts import audit
from chorus.calls import export, queries
from chorus.calls.schemas import ExportQuery
from chorus.route import InPrincipal, InProcess, failures, reading_router

export_routes = reading_router("Calls")

AT_ONCE = 2
"""Exports of one organization, in one process: each keeps the database busy."""

_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The calls, as they are read.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    },
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
    running = _running(request)
    if running[principal.organization_id] >= AT_ONCE:
        raise errors.Error(
            429,
            "too_many_exports",
            f"At most {AT_ONCE} exports of an organization may run at once",
        )
    running[principal.organization_id] += 1
    try:
        async with process.database.reading() as session:
            count = await queries.count(session, principal.organization_id, query, export.MOST)
        if count > export.MOST:
            raise errors.invalid_field(
                "from", f"At most {export.MOST} calls can be exported at once: narrow from and to"
            )
        async with process.database.writing() as session:
            audit.note(session, calls=count, format=query.format, texts=query.texts)
            audit.record(
                session,
                principal,
                "exportCalls",
                "calls",
                None,
                fields=sorted(_asked(query)),
                request_id=request.state.request_id,
                address=request.state.address,
            )
    except BaseException:
        running[principal.organization_id] -= 1
        raise
    lines = export.lines(process.database, principal.organization_id, query)
    return _Export(lines, query.format, running, principal.organization_id)


class _Export(StreamingResponse):
    """Gives its place back however it ends, also where nobody was there to read."""

    def __init__(
        self,
        lines: AsyncGenerator[bytes, None],
        format: str,
        running: Counter[UUID],
        organization_id: UUID,
    ) -> None:
        headers = {"content-disposition": f'attachment; filename="calls.{format}"'}
        super().__init__(lines, media_type=_TYPES[format], headers=headers)
        self._lines = lines
        self._running = running
        self._organization_id = organization_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._running[self._organization_id] -= 1
            await self._lines.aclose()


def _running(request: Request) -> Counter[UUID]:
    """Exports under way in this process, by organization."""
    state = request.app.state
    if not hasattr(state, "exports"):
        state.exports = Counter[UUID]()
    return cast("Counter[UUID]", state.exports)


def _asked(query: ExportQuery) -> set[str]:
    fields = type(query).model_fields
    return {fields[name].alias or name for name in query.model_fields_set}
