"""jambonz' webhooks, each answered with verbs or with nothing.

POST /jambonz/call                 somebody calls one of our numbers, or answered a call of ours
POST /jambonz/status               how a call fares
POST /jambonz/done/{call_id}       its stream is over: nothing to add, the next verb hangs up
POST /jambonz/amd/{call_id}        what answering-machine detection heard
POST /jambonz/dial/{call_id}/…     a transfer was asked for: connect the call with that target

Each POST is read within limits, then its signature is checked, and only then is anything
believed. 403 says no more than that, also when the number is not ours.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chorus.lines.desk import Admitted, Connection, Desk, InboundCall
from chorus.lines.jambonz import verbs
from chorus.lines.jambonz.account import JambonzAccount
from chorus.lines.jambonz.links import (
    CALL_PATH,
    DIAL_PATH,
    DONE_PATH,
    MACHINE_PATH,
    STATUS_PATH,
    Links,
    dialled,
)
from chorus.lines.jambonz.rest import CALL_TAG, TOKEN_TAG
from chorus.lines.jambonz.signature import HEADER, signed
from chorus.lines.jambonz.status import machine_result, progress_of
from chorus.lines.sip.headers import variables_from
from chorus.lines.webhook_body import json_object, read_body, text_field

log = logging.getLogger(__name__)

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
        Route(DIAL_PATH + "/{call_id}/{target}/{mac}", webhooks.dial, methods=post),
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

    def trusted(self, *connections: Connection | None) -> Connection:
        """The one of them whose account sent this. Raises `HTTPException` 403."""
        for connection in connections:
            if connection is None:
                continue
            account = JambonzAccount.of(connection)
            right_account = self.body.get("account_sid") in (None, account.account_sid)
            header = self._request.headers.get(HEADER)
            if right_account and signed(header, self._raw, account.webhook_secret):
                return connection
        peer = self._request.client.host if self._request.client else "?"
        path = self._request.url.path
        log.warning("%s from %s refused: not signed by the number's account", path, peer)
        raise HTTPException(403, "the webhook is not signed by the number's account")

    def tag(self, name: str) -> str:
        """What a call that we placed was tagged with; empty on any other."""
        data = self.body.get("customerData") or self.body.get("customer_data")
        value = cast("dict[str, Any]", data).get(name) if isinstance(data, dict) else None
        return value if isinstance(value, str) and len(value) <= 256 else ""

    @property
    def our_number(self) -> str:
        return e164(self.body.get("from" if self.body.get("direction") == "outbound" else "to"))


async def _posted(request: Request) -> _Posted:
    return _Posted(request, await read_body(request, "application/json"))


class _Webhooks:
    def __init__(self, desk: Desk, links: Links) -> None:
        self._desk = desk
        self._links = links

    async def call(self, request: Request) -> Response:
        posted = await _posted(request)
        if posted.body.get("direction") == "outbound":
            return await self._placed(posted)
        to = posted.our_number
        connection = posted.trusted(*await self._desk.connections_of_number(to))
        inbound = InboundCall(
            leg_id=posted.leg_id,
            from_=e164(posted.body.get("from")) or str(posted.body.get("from") or "")[:64],
            to=to,
            phone_number_id=connection.phone_number_id,
            params=_plain(posted.body),
            variables=_variables(posted.body),
        )
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                decision = await self._desk.answer(inbound)
        except TimeoutError:
            log.error("call %s: no decision within %g s", inbound.leg_id, ANSWER_TIMEOUT_S)
            raise HTTPException(503, "no decision in time") from None
        if isinstance(decision, Admitted):
            return self._listen(decision.call_id, decision.token, connection)
        log.info("call %s to %s refused: %s", inbound.leg_id, to, decision.reason)
        return JSONResponse(verbs.decline(decision.how))

    async def _placed(self, posted: _Posted) -> Response:
        """A call of ours was answered: the audio shows the token that it was placed with."""
        call_id, token = posted.tag(CALL_TAG), posted.tag(TOKEN_TAG)
        if not _ID.fullmatch(call_id) or not _ID.fullmatch(token):
            raise HTTPException(400, "an outbound call that Chorus has not placed")
        connection = posted.trusted(await self._desk.connection_of_call(call_id))
        return self._listen(call_id, token, connection)

    def _listen(self, call_id: str, token: str, connection: Connection) -> Response:
        return JSONResponse(
            verbs.listen(
                self._links.media_url(call_id, token),
                self._links.done_url(call_id),
                JambonzAccount.of(connection).rate_hz,
            )
        )

    async def status(self, request: Request) -> Response:
        posted = await _posted(request)
        call_id = posted.tag(CALL_TAG)
        if call_id:
            posted.trusted(await self._desk.connection_of_call(call_id))
        else:
            ours = posted.trusted(*await self._desk.connections_of_number(posted.our_number))
            call_id = await self._desk.call_of_leg(posted.leg_id, ours.phone_number_id)
            if not call_id:
                # A call that was refused, or one that another application holds.
                return Response(status_code=204)
        if posted.body.get("parent_call_sid"):
            return Response(status_code=204)  # of the leg that a transfer dialled
        progress = progress_of(posted.body, posted.leg_id, call_id)
        if progress is not None:
            await self._desk.progress(progress)
        return Response(status_code=204)

    async def done(self, request: Request) -> Response:
        posted = await _posted(request)
        posted.trusted(await self._desk.connection_of_call(_call_id(request)))
        return Response(status_code=204)

    async def machine(self, request: Request) -> Response:
        posted = await _posted(request)
        call_id = _call_id(request)
        posted.trusted(await self._desk.connection_of_call(call_id))
        result = machine_result(posted.body, posted.leg_id, call_id)
        if result is not None:
            await self._desk.machine(result)
        return Response(status_code=204)

    async def dial(self, request: Request) -> Response:
        posted = await _posted(request)
        call_id = _call_id(request)
        connection = posted.trusted(await self._desk.connection_of_call(call_id))
        parameters = request.path_params
        secret = JambonzAccount.of(connection).webhook_secret
        to = dialled(call_id, parameters["target"], parameters["mac"], secret)
        if to is None:
            raise HTTPException(403, "the address of the transfer is not one of ours")
        return JSONResponse(verbs.dial(to, connection.number))


def _call_id(request: Request) -> str:
    call_id: str = request.path_params["call_id"]
    if not _ID.fullmatch(call_id):
        raise HTTPException(404)
    return call_id


def _plain(body: dict[str, Any]) -> dict[str, str]:
    """The plain fields, as they are kept with a call."""
    return {
        name: str(value)[:1024]
        for name, value in body.items()
        if isinstance(value, str | int) and len(name) <= 64
    }


def _variables(body: dict[str, Any]) -> dict[str, str]:
    """The X- headers of the INVITE, where jambonz sends it along (webhooks by POST do)."""
    sip = body.get("sip")
    headers = cast("dict[str, Any]", sip).get("headers") if isinstance(sip, dict) else None
    if not isinstance(headers, dict):
        return {}
    pairs = cast("dict[str, Any]", headers).items()
    return variables_from((name, value) for name, value in pairs if isinstance(value, str))
