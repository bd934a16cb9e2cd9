"""Live calls over the API: hang up, say something, press keys, tell the model something, and
follow."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, Field, StrictStr
from sqlalchemy.ext.asyncio import AsyncSession

from chorus import errors
from chorus.accounts import audit
from chorus.accounts.principal import Principal
from chorus.calls import live, queries
from chorus.calls.events import EventStream, Stream
from chorus.calls.schemas import EventOut
from chorus.calls.switchboard import Switchboard
from chorus.lines.carriers import BY_NAME
from chorus.route import InOrganization, InPrincipal, InSession, failures, router
from chorus.wire import SERVER_SENT_EVENT, Data, In, Out, Page, PageQuery, page, told

live_routes = router("Calls")

KEYS = re.compile(r"[0-9A-D*#wW]*")
_SEQ_MAX = 2**31 - 1
_STREAM = "text/event-stream"


def _some_words(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value.strip()


class HangUp(In):
    """Why, for the record: the caller hears nothing of it."""

    reason: Annotated[
        StrictStr | None,
        Field(max_length=500, description="Stands in the call's events, in `detail`."),
    ] = None


class Say(In):
    """Words for the agent to say."""

    text: Annotated[StrictStr, Field(min_length=1, max_length=1000), AfterValidator(_some_words)]


def _some_keys(value: str) -> str:
    if not KEYS.fullmatch(value):
        raise ValueError("must be keys (0-9, *, #, A-D) and pauses (w: half a second, W: one)")
    return value


class PressKeys(In):
    """Keys to press."""

    keys: Annotated[
        StrictStr,
        Field(min_length=1, max_length=32, description="0-9, *, #, A-D; w waits half a second."),
        told(KEYS),
        AfterValidator(_some_keys),
    ]


class Inject(In):
    """A note for the model."""

    text: Annotated[StrictStr, Field(min_length=1, max_length=2000), AfterValidator(_some_words)]


class Accepted(Out):
    """The call was live and is told; what comes of it is seen in its events."""

    id: UUID
    accepted: bool = True


class EventsQuery(PageQuery):
    """Which events of a call, and how."""

    after: Annotated[
        int, Field(ge=0, le=_SEQ_MAX, description="Only events with a greater `seq`.")
    ] = 0
    stream: Annotated[
        bool | None,
        Field(description=f"Whether to stream; without it, Accept says so: {_STREAM}."),
    ] = None


@live_routes.post(
    "/calls/{id}/hangup",
    operation_id="hangUpCall",
    summary="Hang up a live call",
    status_code=202,
    responses=failures(404, 409),
)
async def hang_up_call(
    request: Request,
    session: InSession,
    principal: InPrincipal,
    id: UUID,
    wish: HangUp | None = None,
) -> Data[Accepted]:
    """The call ends as `completed`, with `operator_ended` as its reason."""
    reason = (wish.reason or "").strip() if wish else ""
    return await _send(request, session, principal, id, "hang_up", reason, "hangUpCall")


@live_routes.post(
    "/calls/{id}/say",
    operation_id="sayInCall",
    summary="Have the agent say something now",
    status_code=202,
    responses=failures(404, 409),
)
async def say_in_call(
    request: Request, session: InSession, principal: InPrincipal, id: UUID, wish: Say
) -> Data[Accepted]:
    """The agent says it in its own voice, as soon as nobody speaks."""
    return await _send(request, session, principal, id, "say", wish.text, "sayInCall")


@live_routes.post(
    "/calls/{id}/keys",
    operation_id="pressKeysInCall",
    summary="Press keys towards the other side",
    status_code=202,
    responses=failures(404, 409),
)
async def press_keys_in_call(
    request: Request, session: InSession, principal: InPrincipal, id: UUID, wish: PressKeys
) -> Data[Accepted]:
    """As the carrier can: as events, or as tones in the sound. Not on a browser's call, which has
    no keys to be pressed at: 409 `no_keys`."""
    call = await queries.one(session, principal.organization_id, id)
    if not BY_NAME[call.provider].takes_keys:
        raise errors.conflict("no_keys", f"A call of {call.provider} takes no keys")
    return await _send(request, session, principal, id, "press_keys", wish.keys, "pressKeysInCall")


@live_routes.post(
    "/calls/{id}/inject",
    operation_id="injectIntoCall",
    summary="Tell the model something",
    status_code=202,
    responses=failures(404, 409),
)
async def inject_into_call(
    request: Request, session: InSession, principal: InPrincipal, id: UUID, wish: Inject
) -> Data[Accepted]:
    """The model is shown it from its next reply on; the caller hears nothing of it."""
    return await _send(request, session, principal, id, "advise", wish.text, "injectIntoCall")


async def _send(
    request: Request,
    session: AsyncSession,
    principal: Principal,
    id: UUID,
    verb: live.Verb,
    text: str,
    action: str,
) -> Data[Accepted]:
    switchboard: Switchboard = request.app.state.switchboard
    await live.send(session, switchboard, principal.organization_id, id, verb, text)
    # The call's own record says what was done, but not by whom.
    audit.record(
        session,
        principal,
        action,
        "calls",
        id,
        request_id=request.state.request_id,
        address=request.state.address,
    )
    return Data(data=Accepted(id=id))


_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page of events or, if the request accepts it, a stream: what was, what "
        "comes, and `end` once the call is over.",
        "content": {
            _STREAM: {
                "schema": SERVER_SENT_EVENT,
                "example": "id: 1\nevent: answered\n"
                'data: {"seq":1,"atMs":0,"kind":"answered","data":{},'
                '"createdAt":"2025-01-31T12:00:00.000Z"}\n\n'
                'event: end\ndata: {"status":"completed","endedReason":"customer_ended"}\n\n',
            }
        },
    }
}


@live_routes.get(
    "/calls/{id}/events",
    operation_id="listCallEvents",
    summary="List or follow what happens in a call",
    response_model=Page[EventOut],
    responses={**_STREAMED, **failures(404, 503)},
)
async def list_events(
    request: Request,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
    query: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=_SEQ_MAX,
            description="Goes before `after`: what a browser sends when it comes back.",
        ),
    ] = None,
) -> Page[EventOut] | Response:
    after = query.after if last_event_id is None else last_event_id
    streams = query.stream
    if streams is None:
        streams = prefers_stream(request.headers.get("accept", ""))
    if not streams:
        events, total = await queries.events(
            session, organization_id, id, query.limit, query.offset, after=after
        )
        return page(EventOut, [EventOut.model_validate(event) for event in events], total, query)
    for part in ("limit", "offset"):
        if part in query.model_fields_set:
            raise errors.invalid_field(part, "A stream has no pages: use `after`")
    await queries.one(session, organization_id, id)
    switchboard: Switchboard = request.app.state.switchboard
    return EventStream(switchboard.streams, Stream(organization_id, id, after))


def prefers_stream(accept: str) -> bool:
    """Whether the header names the stream's type, and JSON not before it."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    wanted = weights.get(_STREAM, 0.0)
    return wanted > 0 and wanted >= weights.get("application/json", 0.0)
