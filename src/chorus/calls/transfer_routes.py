"""Handing the caller of a live call to a person, over the API."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Request
from pydantic import Field

from chorus import errors
from chorus.accounts import audit
from chorus.agents import queries as agents
from chorus.agents.schemas import TransferTarget
from chorus.calls import live, queries
from chorus.calls.live_routes import Accepted
from chorus.calls.switchboard import Switchboard
from chorus.route import InPrincipal, InSession, failures, router
from chorus.wire import Data, In, Name, Text

transfer_routes = router("Calls")


class TransferWish(In):
    """To whom, and what they are told. Exactly one of `target` and `to`."""

    target: Annotated[Name | None, Field(description="The name of one of the agent's targets.")] = (
        None
    )
    to: Annotated[TransferTarget | None, Field(description="Somebody else.")] = None
    reason: Annotated[
        Text, Field(max_length=1000, description="For the person: who calls and why.")
    ] = ""


@transfer_routes.post(
    "/calls/{id}/transfer",
    operation_id="transferCall",
    summary="Hand the caller of a live call to a person",
    status_code=202,
    responses=failures(404, 409),
)
async def transfer_call(
    request: Request, session: InSession, principal: InPrincipal, id: UUID, wish: TransferWish
) -> Data[Accepted]:
    """The caller is put on hold and the person is called; what comes of it is in the call's events
    and in `transferStatus`. While another transfer of the call is under way, this one is refused
    with an event `transfer_refused`."""
    switchboard: Switchboard = request.app.state.switchboard
    organization_id = principal.organization_id
    call = await queries.one(session, organization_id, id)
    if (wish.target is None) == (wish.to is None):
        raise errors.invalid_field("target", "Exactly one of target and to must be given")
    if call.parent_call_id is not None:
        raise errors.conflict("call_is_transferred", "The second call of a transfer has no caller")
    if wish.to is not None:
        target = wish.to.model_dump(mode="json", by_alias=True)
    else:
        assert wish.target is not None  # exactly one is given
        agent = await agents.find(session, organization_id, call.agent_id)
        known = {each["name"].casefold(): each for each in agent.transfer_targets} if agent else {}
        if (found := known.get(wish.target.casefold())) is None:
            raise errors.invalid_field("target", f"The agent has no target {wish.target}")
        target = found
    told = live.transfer_text(target, wish.reason)
    await live.send(session, switchboard, organization_id, id, "transfer", told)
    audit.record(
        session,
        principal,
        "transferCall",
        "calls",
        id,
        request_id=request.state.request_id,
        address=request.state.address,
    )
    return Data(data=Accepted(id=id))
