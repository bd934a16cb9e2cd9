"""The doors that Twilio knocks at.

POST /twilio/voice             somebody calls one of our numbers: answered with TwiML
POST /twilio/status/{call_id}  how a call fares (`/twilio/status`: set on a number, no call id)
POST /twilio/amd/{call_id}     what answering-machine detection heard
WS   /twilio/media             the audio (`socket.py`)

Each POST is read within limits, then its signature is checked, and only then is anything
believed. 403 says no more than that, also when the number is not ours.
"""

from __future__ import annotations

import asyncio
import logging
import re

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from chorus.lines.twilio import links, twiml
from chorus.lines.twilio.desk import (
    Admitted,
    CallStatus,
    Desk,
    InboundCall,
    MachineResult,
    StatusUpdate,
)
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.rest import TwilioApi
from chorus.lines.twilio.socket import MediaSocket
from chorus.lines.twilio.webhook import Form, number, plain, read_form, signed

log = logging.getLogger(__name__)

# Twilio waits 15 s for TwiML, then plays an error to the caller.
ANSWER_TIMEOUT_S = 10.0
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUSES = {status.value: status for status in CallStatus}


def build_routes(desk: Desk, public_url: str, api: TwilioApi) -> APIRouter:
    """The router that `app.py` mounts at the root. `public_url` is where Twilio reaches us;
    the number's "A call comes in" webhook is set to `{public_url}/twilio/voice`."""
    doors = _Doors(desk, Links(public_url), MediaSocket(desk, api))
    router = APIRouter()
    router.routes.extend(
        [
            Route(links.VOICE_PATH, doors.voice, methods=["POST"]),
            Route(links.STATUS_PATH, doors.status, methods=["POST"]),
            Route(links.STATUS_PATH + "/{call_id}", doors.status, methods=["POST"]),
            Route(links.MACHINE_PATH + "/{call_id}", doors.machine, methods=["POST"]),
            WebSocketRoute(links.MEDIA_PATH, doors.media),
        ]
    )
    return router


class _Doors:
    def __init__(self, desk: Desk, links: Links, media: MediaSocket) -> None:
        self._desk = desk
        self._links = links
        self.media = media

    async def voice(self, request: Request) -> Response:
        form = await read_form(request)
        to, account_sid = form.get("To", ""), form.get("AccountSid", "")
        account = await self._desk.account_of_number(to, account_sid)
        if account is None or not signed(request, self._links.voice_url, form, account):
            raise _forbidden(request)
        inbound = InboundCall(
            call_sid=_required(form, "CallSid"),
            account_sid=account.account_sid,
            from_=form.get("From", ""),
            to=to,
            params=plain(form),
        )
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                decision = await self._desk.answer(inbound)
        except TimeoutError:
            log.error("call %s: no decision within %g s", inbound.call_sid, ANSWER_TIMEOUT_S)
            # An error status, so that the carrier tries the number's fallback URL.
            raise HTTPException(503, "no decision in time") from None
        if isinstance(decision, Admitted):
            document = twiml.connect_stream(self._links.media_url, decision.call_id, decision.token)
        else:
            log.info("call %s to %s refused: %s", inbound.call_sid, to, decision.reason)
            document = twiml.reject(decision.how)
        return Response(document, media_type=twiml.MEDIA_TYPE)

    async def status(self, request: Request) -> Response:
        form = await read_form(request)
        call_id = _call_id(request)
        if call_id is not None:
            account = await self._desk.account_of_call(call_id)
        else:
            to, account_sid = form.get("To", ""), form.get("AccountSid", "")
            account = await self._desk.account_of_number(to, account_sid)
        url = self._links.status_url(call_id)
        if account is None or not signed(request, url, form, account):
            raise _forbidden(request)
        status = _STATUSES.get(_required(form, "CallStatus"))
        if status is None:
            log.warning("unknown call status %r ignored", form.get("CallStatus"))
            return Response(status_code=204)
        update = StatusUpdate(
            call_sid=_required(form, "CallSid"),
            account_sid=account.account_sid,
            call_id=call_id,
            status=status,
            sequence=number(form, "SequenceNumber"),
            duration_s=number(form, "CallDuration"),
            sip_code=number(form, "SipResponseCode"),
            answered_by=form.get("AnsweredBy") or None,
            params=plain(form),
        )
        if update.ended is not None:
            await self.media.completed(account, update.call_sid)
        await self._desk.status(update)
        return Response(status_code=204)

    async def machine(self, request: Request) -> Response:
        form = await read_form(request)
        call_id = _call_id(request)
        if call_id is None:
            raise HTTPException(404)
        account = await self._desk.account_of_call(call_id)
        url = self._links.machine_url(call_id)
        if account is None or not signed(request, url, form, account):
            raise _forbidden(request)
        result = MachineResult(
            call_sid=_required(form, "CallSid"),
            account_sid=account.account_sid,
            call_id=call_id,
            heard=_required(form, "AnsweredBy"),
            after_ms=number(form, "MachineDetectionDuration"),
        )
        await self._desk.machine(result)
        return Response(status_code=204)


def _call_id(request: Request) -> str | None:
    call_id = request.path_params.get("call_id")
    if call_id is not None and not _CALL_ID.fullmatch(call_id):
        raise HTTPException(404)
    return call_id


def _required(form: Form, name: str) -> str:
    text = form.get(name, "")
    if not text or len(text) > 256:
        raise HTTPException(400, f"the webhook's field {name} is missing or too long")
    return text


def _forbidden(request: Request) -> HTTPException:
    peer = request.client.host if request.client else "?"
    log.warning("%s from %s refused: not signed by the number's account", request.url.path, peer)
    return HTTPException(403, "the webhook is not signed by the number's account")
