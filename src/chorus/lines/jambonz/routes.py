"""jambonz' webhooks, each answered with verbs or with nothing.

POST /jambonz/call                 somebody calls one of our numbers, or answered a call of ours
POST /jambonz/status               how a call fares
POST /jambonz/done/{call_id}       its stream is over: nothing to add, the next verb hangs up
POST /jambonz/amd/{call_id}        what answering-machine detection heard
POST /jambonz/dial/{call_id}/…     a transfer was asked for: connect the call with that target
POST /jambonz/dialled/{call_id}    what came of it: where nobody was reached, stream again
POST /jambonz/conference/{call_id}/…  the call is to wait in that conference
POST /jambonz/back/{call_id}       it is to come back from there: stream again

Each POST is read within limits, then its signature is checked, and only then is anything
believed. 403 says no more than that, also when the number is not ours. Whoever sends too much of
that is turned away (`lines/strangers.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chorus.lines.desk import Admitted, Connection, Desk, InboundCall
from chorus.lines.jambonz import verbs
from chorus.lines.jambonz.account import JambonzAccount
from chorus.lines.jambonz.links import (
    BACK_PATH,
    CALL_PATH,
    CONFERENCE_PATH,
    DIAL_PATH,
    DIALLED_PATH,
    DONE_PATH,
    MACHINE_PATH,
    STATUS_PATH,
    Links,
    opened,
)
from chorus.lines.jambonz.rest import CALL_TAG, TOKEN_TAG
from chorus.lines.jambonz.signature import HEADER, signed
from chorus.lines.jambonz.status import machine_result, progress_of
from chorus.lines.sip.headers import variables_from
from chorus.lines.strangers import Strangers
from chorus.lines.webhook_body import decided, genuine, json_object, read_body, text_field

# jambonz waits 10 s for an application by default.
ANSWER_TIMEOUT_S = 8.0
_NUMBER = re.compile(r"(?:sips?:|tel:)?\+?([1-9]\d{6,14})(?:@.*)?")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def webhook_routes(desk: Desk, links: Links) -> Sequence[Route]:
    """Mounted at the root."""
    webhooks = _Webhooks(desk, links)
    post = ["POST"]
    return (
        Route(CALL_PATH, webhooks.call, methods=post),
        Route(STATUS_PATH, webhooks.status, methods=post),
        Route(DONE_PATH + "/{call_id}", webhooks.done, methods=post),
        Route(MACHINE_PATH + "/{call_id}", webhooks.machine, methods=post),
        Route(DIALLED_PATH + "/{call_id}", webhooks.dialled, methods=post),
        Route(DIAL_PATH + "/{call_id}/{wish}/{mac}", webhooks.dial, methods=post),
        Route(CONFERENCE_PATH + "/{call_id}/{wish}/{mac}", webhooks.conference, methods=post),
        Route(BACK_PATH + "/{call_id}", webhooks.back, methods=post),
    )


def e164(number: object) -> str:
    """As carriers in front of jambonz write it, with or without a plus, or as a SIP address;
    empty for what is no number."""
    found = _NUMBER.fullmatch(number) if isinstance(number, str) and len(number) < 300 else None
    return f"+{found[1]}" if found else ""


class _Posted:
    """A webhook that was read and is not believed yet."""

    def __init__(self, request: Request, raw: bytes) -> None:
        self._request = request
        self._raw = raw
        self.body = json_object(raw)
        self.leg_id = text_field(self.body, "call_sid")

    def signer(self, connections: Sequence[Connection]) -> Connection | None:
        """The one of them whose account sent this."""
        for connection in connections:
            account = JambonzAccount.of(connection)
            right_account = self.body.get("account_sid") in (None, account.account_sid)
            header = self._request.headers.get(HEADER)
            if right_account and signed(header, self._raw, account.webhook_secret):
                return connection
        return None

    @property
    def parent_id(self) -> str:
        """The call for which a leg was dialled; empty of any other."""
        value = self.body.get("parent_call_sid")
        return value if isinstance(value, str) and len(value) <= 256 else ""

    def tag(self, name: str) -> str:
        """What a call that we placed was tagged with; empty on any other."""
        data = self.body.get("customerData") or self.body.get("customer_data")
        value = cast("dict[str, Any]", data).get(name) if isinstance(data, dict) else None
        return value if isinstance(value, str) and len(value) <= 256 else ""

    @property
    def is_outbound(self) -> bool:
        return self.body.get("direction") == "outbound"

    @property
    def our_number(self) -> str:
        return e164(self.body.get("from" if self.is_outbound else "to"))


Whose = Callable[[_Posted], Awaitable[Sequence[Connection]]]
"""Whose webhook it may be, by what it says."""


async def _posted(request: Request) -> _Posted:
    return _Posted(request, await read_body(request, "application/json"))


class _Webhooks:
    def __init__(self, desk: Desk, links: Links) -> None:
        self._desk = desk
        self._links = links
        self._strangers = Strangers("a webhook")

    async def call(self, request: Request) -> Response:
        posted, connection = await self._signed(request, self._of_ring)
        if posted.is_outbound:
            # A call of ours was answered: the audio shows the token that it was placed with.
            return self._listen(posted.tag(CALL_TAG), posted.tag(TOKEN_TAG), connection)
        inbound = InboundCall(
            leg_id=posted.leg_id,
            from_=e164(posted.body.get("from")) or str(posted.body.get("from") or "")[:64],
            to=posted.our_number,
            phone_number_id=connection.phone_number_id,
            variables=_variables(posted.body),
        )
        decision = await decided(self._desk, inbound, ANSWER_TIMEOUT_S)
        if isinstance(decision, Admitted):
            return self._listen(decision.call_id, decision.token, connection)
        return JSONResponse(verbs.decline(decision.how))

    def _listen(self, call_id: str, token: str, connection: Connection) -> Response:
        return JSONResponse(
            verbs.listen(
                self._links.media_url(call_id, token),
                self._links.done_url(call_id),
                JambonzAccount.of(connection).rate_hz,
            )
        )

    async def status(self, request: Request) -> Response:
        posted, ours = await self._signed(request, self._of_status)
        if parent_id := posted.parent_id:
            # Of the leg that a transfer dialled.
            call_id = await self._desk.call_of_leg(parent_id, ours.phone_number_id)
            if call_id and posted.body.get("call_status") == "in-progress":
                await self._desk.transferred(call_id, parent_id)
            return Response(status_code=204)
        call_id = posted.tag(CALL_TAG)
        if not call_id:
            call_id = await self._desk.call_of_leg(posted.leg_id, ours.phone_number_id)
            if not call_id:
                # A call that was refused, or one that another application holds.
                return Response(status_code=204)
        progress = progress_of(posted.body, posted.leg_id, call_id)
        if progress is not None:
            await self._desk.progress(progress)
        return Response(status_code=204)

    async def done(self, request: Request) -> Response:
        await self._signed(request, self._of_call(_call_id(request)))
        return Response(status_code=204)

    async def machine(self, request: Request) -> Response:
        call_id = _call_id(request)
        posted, _ = await self._signed(request, self._of_call(call_id))
        result = machine_result(posted.body, posted.leg_id, call_id)
        if result is not None:
            await self._desk.machine(result)
        return Response(status_code=204)

    async def dial(self, request: Request) -> Response:
        call_id, connection, (ring_timeout_s, to) = await self._wish(request, "dial")
        again = self._links.dialled_url(call_id)
        return JSONResponse(verbs.dial(to, connection.number, ring_timeout_s, again))

    async def dialled(self, request: Request) -> Response:
        """https://docs.jambonz.org/verbs/verbs/dial"""
        call_id = _call_id(request)
        posted, connection = await self._signed(request, self._of_call(call_id))
        if posted.body.get("dial_call_status") == "completed":
            await self._desk.transferred(call_id, posted.leg_id)  # and they have talked
            return Response(status_code=204)
        return await self._stream_again(call_id, posted, connection)

    async def conference(self, request: Request) -> Response:
        _, _, (until_s, room) = await self._wish(request, "conference")
        if time.time() > until_s:
            raise HTTPException(410, "the call is not to go there any more")
        return JSONResponse(verbs.conference(room))

    async def back(self, request: Request) -> Response:
        call_id = _call_id(request)
        posted, connection = await self._signed(request, self._of_call(call_id))
        return await self._stream_again(call_id, posted, connection)

    async def _stream_again(
        self, call_id: str, posted: _Posted, connection: Connection
    ) -> Response:
        token = await self._desk.returns(call_id, posted.leg_id)
        if token is None:
            return Response(status_code=204)
        return self._listen(call_id, token, connection)

    async def _wish(self, request: Request, what: str) -> tuple[str, Connection, tuple[int, str]]:
        """The call, its number, and what the address says that it is to do."""
        call_id = _call_id(request)
        _, connection = await self._signed(request, self._of_call(call_id))
        wish, mac = request.path_params["wish"], request.path_params["mac"]
        found = opened(what, call_id, wish, mac, JambonzAccount.of(connection).webhook_secret)
        if found is None:
            raise HTTPException(403, "the address is not one of ours")
        return call_id, connection, found

    async def _signed(self, request: Request, whose: Whose) -> tuple[_Posted, Connection]:
        """What was posted, and by whom. Raises as `genuine` and `read_body`."""

        async def sender(posted: _Posted) -> Connection | None:
            # Without a signature, nobody has to be looked for.
            return posted.signer(await whose(posted)) if HEADER in request.headers else None

        return await genuine(self._strangers, request, _posted, sender)

    async def _of_ring(self, posted: _Posted) -> Sequence[Connection]:
        if not posted.is_outbound:
            return await self._desk.connections_of_number(posted.our_number)
        call_id, token = posted.tag(CALL_TAG), posted.tag(TOKEN_TAG)
        if not _ID.fullmatch(call_id) or not _ID.fullmatch(token):
            raise HTTPException(400, "an outbound call that Chorus has not placed")
        return await self._of_call(call_id)(posted)

    async def _of_status(self, posted: _Posted) -> Sequence[Connection]:
        call_id = posted.tag(CALL_TAG)
        if call_id:
            return await self._of_call(call_id)(posted)
        return await self._desk.connections_of_number(posted.our_number)

    def _of_call(self, call_id: str) -> Whose:
        async def whose(_: _Posted) -> Sequence[Connection]:
            connection = await self._desk.connection_of_call(call_id)
            return () if connection is None else (connection,)

        return whose


def _call_id(request: Request) -> str:
    call_id: str = request.path_params["call_id"]
    if not _ID.fullmatch(call_id):
        raise HTTPException(404)
    return call_id


def _variables(body: dict[str, Any]) -> dict[str, str]:
    """The X- headers of the INVITE, where jambonz sends it along (webhooks by POST do)."""
    sip = body.get("sip")
    headers = cast("dict[str, Any]", sip).get("headers") if isinstance(sip, dict) else None
    if not isinstance(headers, dict):
        return {}
    pairs = cast("dict[str, Any]", headers).items()
    return variables_from((name, value) for name, value in pairs if isinstance(value, str))
