"""GET /v1/calls/live."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from chorus.calls.events import EventStream
from chorus.calls.live_routes import prefers_stream
from chorus.calls.ongoing import OngoingStream
from chorus.calls.ongoing_schemas import OngoingCalls
from chorus.calls.switchboard import Switchboard
from chorus.route import InOrganization, failures, reading_router
from chorus.wire import SERVER_SENT_EVENT, Data

ongoing_routes = reading_router("Calls")

_STREAM = "text/event-stream"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The live calls or, if Accept names it, a stream: `calls` with all of them, "
        "then `call` for each that is new or has changed, and `gone` for those that are over.",
        "content": {
            _STREAM: {
                "schema": SERVER_SENT_EVENT,
                "example": 'event: calls\ndata: {"calls":[],"total":0}\n\n'
                'event: gone\ndata: {"ids":["e2b7c6d4-05a1-4a8e-8d7c-6b3f1a9e5304"],'
                '"total":0}\n\n',
            }
        },
    },
    **failures(503),
}


@ongoing_routes.get(
    "/calls/live",
    operation_id="listLiveCalls",
    summary="List or follow the live calls",
    response_model=Data[OngoingCalls],
    responses=_ANSWERS,
)
async def list_live_calls(
    request: Request, organization_id: InOrganization
) -> Data[OngoingCalls] | Response:
    """Calls that ring or are talked on, whichever server holds them. With
    `Accept: text/event-stream` the answer is a stream of what changes, within about two seconds of
    its happening; one that closes is asked for again, and begins with all that there is."""
    switchboard: Switchboard = request.app.state.switchboard
    if prefers_stream(request.headers.get("accept", "")):
        return EventStream(switchboard.ongoing, OngoingStream(organization_id))
    return Data(data=await switchboard.ongoing.now(organization_id))
