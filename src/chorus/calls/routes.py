"""/v1/calls, /v1/calls/test; /api/calls/outbound and /api/calls/test are other names."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request

from chorus.calls import queries
from chorus.calls.browser import begin, proof_for
from chorus.calls.events import Stream
from chorus.calls.place import place
from chorus.calls.schemas import (
    CallCreate,
    CallOut,
    CallQuery,
    ListedCall,
    TestCallCreate,
    TestCallOut,
)
from chorus.calls.switchboard import Switchboard
from chorus.lines.browser.carrier import media_url
from chorus.process import Process
from chorus.route import (
    InOrganization,
    InProcess,
    InSession,
    failures,
    reading_router,
    router,
)
from chorus.wire import Data, Page, page

routes = router("Calls")
outbound_routes = router("Calls")
one_call_routes = reading_router("Calls")

LONGEST_WAIT_S = 60


@routes.get("/calls", operation_id="listCalls", summary="List calls")
async def list_calls(
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    query: Annotated[CallQuery, Query()],
) -> Page[ListedCall]:
    calls, found = await queries.page(session, organization_id, query, process)
    return page(ListedCall, calls, found, query)


@outbound_routes.post(
    "/calls/outbound",
    operation_id="createOutboundCall",
    summary="Place a call",
    status_code=201,
    responses=failures(402, 404),
)
@routes.post(
    "/calls",
    operation_id="createCall",
    summary="Place a call",
    status_code=201,
    responses=failures(402, 404),
)
async def create_call(
    request: Request,
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    wish: CallCreate,
) -> Data[CallOut]:
    """Queues the call and answers at once; what comes of it is seen in the call."""
    switchboard: Switchboard = request.app.state.switchboard
    call = await place(session, switchboard, organization_id, wish)
    return Data(data=await queries.present(session, call, process))


@outbound_routes.post(
    "/calls/test",
    operation_id="createTestCall",
    summary="Start a test call from a browser",
    status_code=201,
    responses=failures(402, 404, 409, 503),
)
@routes.post(
    "/calls/test",
    operation_id="createBrowserCall",
    summary="Start a call from a browser",
    status_code=201,
    responses=failures(402, 404, 409, 503),
)
async def create_test_call(
    request: Request,
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    wish: TestCallCreate,
) -> Data[TestCallOut]:
    """Talks to the agent with a browser's microphone: the answer says where to connect, and the
    token with which to do so within a minute. The call counts as inbound, of the provider
    `browser`, and takes room like any other; telephony costs nothing."""
    switchboard: Switchboard = request.app.state.switchboard
    begun = await begin(session, switchboard, process, organization_id, wish)
    call_id = str(begun.call_id)
    return Data(
        data=TestCallOut(
            call_id=begun.call_id,
            url=media_url(process.settings, call_id, proof_for(process.secrets, call_id)),
            token=begun.token,
            expires_at=begun.expires_at,
        )
    )


@one_call_routes.get(
    "/calls/{id}", operation_id="getCall", summary="Get a call", responses=failures(404)
)
async def get_call(
    request: Request,
    process: InProcess,
    organization_id: InOrganization,
    id: UUID,
    include: Annotated[list[Literal["turns"]], Query()] = [],  # noqa: B006  FastAPI copies it
    wait: Annotated[
        int,
        Query(
            ge=0,
            le=LONGEST_WAIT_S,
            description="Seconds to wait for the end of the call. The answer comes at once if the "
            "call is over, else when it is or when the time has passed: see `isFinal`.",
        ),
    ] = 0,
) -> Data[CallOut]:
    turns = "turns" in include
    shown = await _one(process, organization_id, id, turns=turns)
    if wait and not shown.is_final:
        streams = request.app.state.switchboard.streams
        stream = Stream(organization_id, id, 0, for_end=True)
        await streams.until_over(stream, wait, partial(_gone, request))
        shown = await _one(process, organization_id, id, turns=turns)
    return Data(data=shown)


async def _one(process: Process, organization_id: UUID, id: UUID, *, turns: bool) -> CallOut:
    """In a session of its own: none is held while somebody waits."""
    async with process.database.reading() as session:
        call = await queries.one(session, organization_id, id)
        return await queries.present(session, call, process, turns=turns)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
