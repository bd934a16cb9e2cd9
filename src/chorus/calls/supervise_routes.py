"""Supervising a live call: a token for its sound, and what the supervisor does there."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Path, Request
from pydantic import Field

from chorus.accounts import audit
from chorus.calls import live, supervise
from chorus.calls.live_routes import Accepted
from chorus.calls.switchboard import Switchboard
from chorus.route import InPrincipal, InSession, failures, router
from chorus.talk.supervision import Hears, Mode
from chorus.wire import Data, In, Out, Time

supervise_routes = router("Calls")


class SupervisorCreate(In):
    """Somebody who listens in."""

    hears: Annotated[Hears, Field(description="Whom they hear; who takes over hears the caller.")]


class SupervisorOut(Out):
    """Where a supervisor connects."""

    id: Annotated[UUID, Field(description="The supervision: sent as `callId` in the start.")]
    url: Annotated[
        str,
        Field(
            description="The WebSocket; signed, for this supervision. It speaks as one of a call "
            "from a browser does."
        ),
    ]
    token: Annotated[str, Field(description="Shown there, once.")]
    expires_at: Annotated[Time, Field(description="Until then the token can be shown.")]


class SupervisorMode(In):
    """What a supervisor does from now on."""

    mode: Annotated[
        Mode,
        Field(
            description="listen: nobody hears them; from talk it hands the caller back to the "
            "agent. whisper: the person hears them to whom the caller was transferred. talk: they "
            "speak with the caller, and the agent is silent."
        ),
    ]


@supervise_routes.post(
    "/calls/{id}/supervisors",
    operation_id="superviseCall",
    summary="Listen to a live call",
    status_code=201,
    responses=failures(404, 409),
)
async def supervise_call(
    request: Request, session: InSession, principal: InPrincipal, id: UUID, wish: SupervisorCreate
) -> Data[SupervisorOut]:
    """The answer says where to connect, and the token with which to do so within a minute. Until
    their `mode` is changed, supervisors are heard by nobody."""
    switchboard: Switchboard = request.app.state.switchboard
    begun = await supervise.begin(session, switchboard, principal, id, wish.hears)
    _audit(request, session, principal, id, "superviseCall")
    return Data(
        data=SupervisorOut(
            id=begun.id, url=begun.url, token=begun.token, expires_at=begun.expires_at
        )
    )


@supervise_routes.post(
    "/calls/{id}/supervisors/{supervisorId}/mode",
    operation_id="setSupervisorMode",
    summary="Whisper, take a call over, or hand it back",
    status_code=202,
    responses=failures(404, 409),
)
async def set_supervisor_mode(
    request: Request,
    session: InSession,
    principal: InPrincipal,
    id: UUID,
    supervisor_id: Annotated[UUID, Path(alias="supervisorId", description="Who.")],
    wish: SupervisorMode,
) -> Data[Accepted]:
    """What comes of it is in the call's events: `supervisor_mode`, or `supervision_refused` with
    the reason, such as that there is nobody to whisper to."""
    switchboard: Switchboard = request.app.state.switchboard
    told = orjson.dumps({"id": str(supervisor_id), "mode": wish.mode}).decode()
    await live.send(session, switchboard, principal.organization_id, id, "supervise", told)
    _audit(request, session, principal, id, "setSupervisorMode")
    return Data(data=Accepted(id=id))


def _audit(
    request: Request, session: InSession, principal: InPrincipal, id: UUID, action: str
) -> None:
    audit.record(
        session,
        principal,
        action,
        "calls",
        id,
        request_id=request.state.request_id,
        address=request.state.address,
    )
