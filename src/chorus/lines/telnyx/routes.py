"""Telnyx' webhooks, all at one address.

POST /telnyx/events    somebody calls one of our numbers, or how a call fares, or what answered it

Each POST is read within limits, then its signature is checked, and only then is anything
believed. 403 says no more than that, also when the number is not ours. Whoever sends too much of
that is turned away (`lines/strangers.py`). A webhook is answered with nothing: what becomes of a
call that rings is a command to the API, sent before the webhook is answered.
"""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chorus.lines.desk import (
    Admitted,
    Connection,
    Desk,
    InboundCall,
    NotHere,
    Progress,
    Refused,
    Stage,
)
from chorus.lines.line import LineCause, LineEnded
from chorus.lines.rest_json import ApiFailed
from chorus.lines.sip.headers import variables_from
from chorus.lines.strangers import Strangers
from chorus.lines.telnyx.account import TelnyxAccount
from chorus.lines.telnyx.links import EVENTS_PATH, Links
from chorus.lines.telnyx.rest import TelnyxApi, is_over, streaming
from chorus.lines.telnyx.signature import SIGNATURE, signed
from chorus.lines.telnyx.state import State, state_of
from chorus.lines.telnyx.status import machine_result, progress_of, talked
from chorus.lines.webhook_body import decided, genuine, json_object, read_body, text_field

log = logging.getLogger(__name__)

# An application may wait 30 s for a webhook, and gives a call up that nobody commands within 10.
ANSWER_TIMEOUT_S = 8.0
REMEMBERED = 2048
"""Legs that rang, and those of transfers that failed, so that a webhook that is sent again does
nothing twice."""


def webhook_routes(desk: Desk, links: Links, api: TelnyxApi) -> Sequence[Route]:
    """Mounted at the root; an application's webhook address is set to `links.events_url`."""
    return (Route(EVENTS_PATH, _Webhooks(desk, links, api).event, methods=["POST"]),)


class _Event:
    """A webhook that was read and is not believed yet: `{"data": {"event_type", "payload"}}`."""

    def __init__(self, request: Request, raw: bytes) -> None:
        self._request = request
        self._raw = raw
        data = _object(json_object(raw), "data")
        self.kind = text_field(data, "event_type")
        self.body = _object(data, "payload")
        self.leg_id = text_field(self.body, "call_control_id")
        self.state = state_of(self.body.get("client_state"))

    def signer(self, connections: Sequence[Connection]) -> Connection | None:
        """The one of them whose account sent this."""
        for connection in connections:
            account = TelnyxAccount.of(connection)
            right_application = self.body.get("connection_id") in (None, account.connection_id)
            if right_application and signed(self._request.headers, self._raw, account.public_key):
                return connection
        return None

    @property
    def rings(self) -> bool:
        return self.kind == "call.initiated" and self.body.get("direction") == "incoming"

    def text(self, name: str) -> str:
        value = self.body.get(name)
        return value[:256] if isinstance(value, str) else ""


async def _event(request: Request) -> _Event:
    return _Event(request, await read_body(request, "application/json"))


class _Webhooks:
    def __init__(self, desk: Desk, links: Links, api: TelnyxApi) -> None:
        self._desk = desk
        self._links = links
        self._api = api
        self._strangers = Strangers("a webhook")
        self._dealt_with: OrderedDict[str, None] = OrderedDict()

    async def event(self, request: Request) -> Response:
        async def sender(event: _Event) -> Connection | None:
            # Without a signature, nobody has to be looked for.
            found = await self._whose(event) if SIGNATURE in request.headers else ()
            return event.signer(found)

        event, connection = await genuine(self._strangers, request, _event, sender)
        state = event.state
        if event.rings:
            await self._ring(event, connection)
        elif state is not None and state.leg_of:
            await self._of_transfer(event, state, connection)
        else:
            await self._fares(event, connection)
        return Response(status_code=200)

    async def _whose(self, event: _Event) -> Sequence[Connection]:
        """Whose webhook it may be, by what it says."""
        if event.state is not None:
            connection = await self._desk.connection_of_call(event.state.call_id)
            return () if connection is None else (connection,)
        found = await self._desk.connections_of_number(event.text("to"))
        return found or await self._desk.connections_of_number(event.text("from"))

    async def _ring(self, event: _Event, connection: Connection) -> None:
        leg_id = event.leg_id
        inbound = InboundCall(
            leg_id=leg_id,
            from_=event.text("from")[:64],
            to=event.text("to"),
            phone_number_id=connection.phone_number_id,
            variables=_variables(event.body),
        )
        with self._once(leg_id) as first:
            if not first:
                return
            decision = await decided(self._desk, inbound, ANSWER_TIMEOUT_S)
        await self._carry_out(decision, leg_id, TelnyxAccount.of(connection))

    @contextmanager
    def _once(self, leg_id: str) -> Generator[bool]:
        """Whether the webhook has not come before; one that fails is sent again, and may succeed
        then."""
        first = leg_id not in self._dealt_with
        self._dealt_with[leg_id] = None
        while len(self._dealt_with) > REMEMBERED:
            self._dealt_with.popitem(last=False)
        try:
            yield first
        except BaseException:
            if first:
                self._dealt_with.pop(leg_id, None)
            raise

    async def _carry_out(
        self, decision: Admitted | Refused, leg_id: str, account: TelnyxAccount
    ) -> None:
        if isinstance(decision, Refused):
            cause = "USER_BUSY" if decision.how == "busy" else "CALL_REJECTED"
            try:
                await self._api.act(account, leg_id, "reject", {"cause": cause})
            except ApiFailed as failed:
                log.warning("call %s was not rejected: %s", leg_id, failed)
            return
        wish = {
            "client_state": State(decision.call_id).written(),
            # Telnyx takes a command of this id once for a call.
            "command_id": f"answer-{decision.call_id}",
            **streaming(self._links.media_url(decision.call_id, decision.token)),
        }
        try:
            await self._api.act(account, leg_id, "answer", wish)
        except ApiFailed as failed:
            # Nobody hears of the call again if the command did not arrive.
            cause = LineCause.CANCELED if is_over(failed) else LineCause.FAILED
            ended = LineEnded(cause, f"Telnyx did not answer the call: {failed.detail}")
            await self._desk.progress(Progress(leg_id, decision.call_id, Stage.ENDED, ended))

    async def _of_transfer(self, event: _Event, state: State, connection: Connection) -> None:
        """Of the leg that a transfer dials."""
        if event.kind in ("call.answered", "call.bridged"):
            await self._desk.transferred(state.call_id, state.leg_of)
        elif event.kind == "call.hangup" and not talked(event.body):
            with self._once(event.leg_id) as first:
                if first:
                    await self._come_back(event.leg_id, state, TelnyxAccount.of(connection))

    async def _come_back(self, failed_id: str, state: State, account: TelnyxAccount) -> None:
        """Nobody answered the leg `failed_id`. Telnyx keeps the one that was transferred, which may
        be commanded further: it streams to us again. Where it cannot, it has nobody to talk to.
        https://developers.telnyx.com/api-reference/call-commands/transfer-call"""
        call_id, leg_id = state.call_id, state.leg_of
        token = await self._desk.returns(call_id, leg_id)
        if token is not None:
            start = {
                "client_state": State(call_id, is_back=True).written(),
                # Should the webhook come twice, to whichever process: Telnyx takes it once.
                "command_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"back {failed_id}")),
                **streaming(self._links.media_url(call_id, token)),
            }
            try:
                await self._api.act(account, leg_id, "streaming_start", start)
                return
            except ApiFailed as failed:
                if is_over(failed):
                    return
                log.warning("call %s does not come back from its transfer: %s", call_id, failed)
        await self._end(account, call_id, leg_id)

    async def _end(self, account: TelnyxAccount, call_id: str, leg_id: str) -> None:
        try:
            await self._api.end(account, leg_id)
        except ApiFailed as failed:
            log.warning("call %s may go on after its transfer: %s", call_id, failed)

    async def _stream_failed(self, event: _Event, call_id: str, account: TelnyxAccount) -> None:
        """Of a call that was to come back. A stream that reached us once has used its token, and
        its line knows what to do."""
        params = event.body.get("stream_params")
        url = cast("dict[str, Any]", params).get("stream_url") if isinstance(params, dict) else None
        token = self._links.token_in(url, call_id) if isinstance(url, str) else ""
        try:
            never_came = bool(token) and await self._desk.claim(call_id, token)
        except NotHere:
            never_came = True
        if never_came:
            log.warning("call %s: the stream of a caller who comes back did not arrive", call_id)
            await self._end(account, call_id, event.leg_id)

    async def _fares(self, event: _Event, connection: Connection) -> None:
        if event.state is not None:
            call_id: str | None = event.state.call_id
        else:
            number_id = connection.phone_number_id
            call_id = await self._desk.call_of_leg(event.leg_id, number_id)
        if not call_id:
            return  # a call that was refused, or one of another program
        if event.kind == "streaming.failed" and event.state is not None and event.state.is_back:
            await self._stream_failed(event, call_id, TelnyxAccount.of(connection))
        progress = progress_of(event.kind, event.body, event.leg_id, call_id)
        if progress is not None:
            await self._desk.progress(progress)
        machine = machine_result(event.kind, event.body, event.leg_id, call_id)
        if machine is not None:
            await self._desk.machine(machine)


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise HTTPException(400, f"the webhook's field {name} is missing or no object")
    return cast("dict[str, Any]", value)


def _variables(body: dict[str, Any]) -> dict[str, str]:
    """The X- headers and User-to-User of the INVITE."""
    pairs: list[tuple[str, str]] = []
    for kind in ("custom_headers", "sip_headers"):
        headers = body.get(kind)
        for each in cast("list[object]", headers) if isinstance(headers, list) else ():
            header = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
            name, value = header.get("name"), header.get("value")
            if isinstance(name, str) and isinstance(value, str):
                pairs.append((name, value))
    return variables_from(pairs)
