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
from chorus.agents import texts
from chorus.agents.transfer_target import TransferTarget
from chorus.calls import live, queries
from chorus.calls.live_routes import Accepted
from chorus.calls.switchboard import Switchboard
from chorus.lines.carrier import CarrierKind
from chorus.lines.carriers import BY_NAME
from chorus.lines.line import is_address
from chorus.numbers import routing
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


def _allowed(
    caller: CarrierKind,
    person: CarrierKind | None,
    target: Mapping[str, Any],
    *,
    named: bool,
    has_forward_token: bool,
) -> None:
    """What cannot be done for somebody else than the agent's targets is refused; of a target what
    cannot be is left out (docs/guides/transfers.md), but for whom to call. `person` is the carrier
    that calls them, `caller` that of the call. Without a number to call from nobody is called, and
    the call's events say so."""
    number: str = target["number"]
    if person is not None and is_address(number) and not person.calls_addresses:
        where = "target" if named else "to.number"
        told = f"The carrier that calls them, {person.name}, calls no SIP address"
        raise errors.invalid_field(where, told)
    if named:
        return
    if person is not None and target["headers"] and not person.sends_headers_to(number):
        told = f"The carrier that calls them, {person.name}, sends no headers there"
        raise errors.invalid_field("to.headers", told)
    if person is not None and target["callerId"] == "caller":
        if person.shows_caller == "never":
            told = f"The carrier that calls them, {person.name}, shows no number but your own"
            raise errors.invalid_field("to.callerId", told)
        if person.shows_caller == "with_token" and not has_forward_token:
            told = f"{person.name} shows the number of a caller whose call brought a token for it"
            raise errors.invalid_field("to.callerId", told)
    if target["merge"] == "release" and target["type"] != "cold" and not caller.joins_calls:
        told = f"The call's carrier {caller.name} cannot connect two calls: merge must be bridge"
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
        if wrong := texts.of_target(target, "to"):
            raise errors.invalid(*wrong)
    else:
        assert wish.target is not None  # exactly one is given
        agent = await agents.find(session, organization_id, call.agent_id)
        known = {each["name"].casefold(): each for each in agent.transfer_targets} if agent else {}
        if (found := known.get(wish.target.casefold())) is None:
            raise errors.invalid_field("target", f"The agent has no target {wish.target}")
        target = found
    calls_from = await routing.provider_to_call_from(session, call.phone_number_id, call.agent_id)
    person = BY_NAME[calls_from] if calls_from is not None else None
    _allowed(
        BY_NAME[call.provider],
        person,
        target,
        named=wish.to is None,
        # Of a call that is not live `live.send` says so; it has no token any more.
        has_forward_token=call.forward_token is not None or call.status != "in_progress",
    )
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
