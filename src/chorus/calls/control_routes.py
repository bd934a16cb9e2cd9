"""What can be done to a call from outside: cancel it while it waits."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from chorus.calls import queries
from chorus.calls.cancel import cancel
from chorus.calls.schemas import CallOut
from chorus.process import Process
from chorus.route import InOrganization, InProcess, InSession, failures, router
from chorus.wire import Data

control_routes = router("Calls")


@control_routes.post(
    "/calls/{id}/cancel",
    operation_id="cancelCall",
    summary="Cancel a queued call",
    responses=failures(404, 409),
)
async def cancel_call(
    request: Request,
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
) -> Data[CallOut]:
    """The call ends as `failed`, with `cancelled` as its reason, and is never dialled. 409 once
    it has been dialled."""
    return await _cancelled(request, process, session, organization_id, id)


@control_routes.delete(
    "/calls/{id}",
    operation_id="deleteCall",
    summary="Cancel a queued call",
    responses=failures(404, 409),
)
async def delete_call(
    request: Request,
    process: InProcess,
    session: InSession,
    organization_id: InOrganization,
    id: UUID,
) -> Data[CallOut]:
    """Another name for `POST /v1/calls/{id}/cancel`: the call's record stays."""
    return await _cancelled(request, process, session, organization_id, id)


async def _cancelled(
    request: Request,
    process: Process,
    session: AsyncSession,
    organization_id: UUID,
    id: UUID,
) -> Data[CallOut]:
    call = await cancel(session, request.app.state.switchboard, organization_id, id)
    return Data(data=await queries.present(session, call, process))
