"""Handing the caller of a live call to a person, over the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request
from pydantic import Field

from chorus import errors
from chorus.accounts import audit
from chorus.agents import queries as agents
from chorus.agents.transfer_target import TransferTarget
from chorus.calls import live, queries
from chorus.calls.live_routes import Accepted
from chorus.calls.switchboard import Switchboard
from chorus.lines.carrier import CarrierKind
from chorus.lines.carriers import BY_NAME
from chorus.lines.line import is_address
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


def _allowed(carrier: CarrierKind, target: Mapping[str, Any], *, named: bool) -> None:
    """What this call's carrier cannot do for somebody else than the agent's targets is refused; of
    a target what it cannot is left out (docs/guides/transfers.md), but for whom to call."""
    number: str = target["number"]
    if is_address(number) and not carrier.calls_addresses:
        where = "target" if named else "to.number"
        raise errors.invalid_field(where, f"The call's carrier {carrier.name} calls no SIP address")
    if named:
        return
    if target["headers"] and not carrier.sends_headers_to(number):
        told = f"The call's carrier {carrier.name} sends no headers there"
        raise errors.invalid_field("to.headers", told)
    if target["callerId"] == "caller" and not carrier.shows_any_number:
        told = f"The call's carrier {carrier.name} shows no number but your own"
        raise errors.invalid_field("to.callerId", told)
    if target["merge"] == "release" and target["type"] != "cold" and not carrier.joins_calls:
        told = f"The call's carrier {carrier.name} cannot connect two calls: merge must be bridge"
        raise errors.invalid_field("to.merge", told)


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
    _allowed(BY_NAME[call.provider], target, named=wish.to is None)
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
