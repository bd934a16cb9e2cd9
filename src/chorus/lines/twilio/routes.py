"""Twilio's webhooks.

POST /twilio/voice             somebody calls one of our numbers: answered with TwiML
POST /twilio/status/{call_id}  how a call fares (`/twilio/status`: set on a number, no call id)
POST /twilio/amd/{call_id}     what answering-machine detection heard
POST /twilio/transferred/{call_id}  somebody answered whom a transfer called
POST /twilio/dialled/{call_id} a transfer's <Dial> is over: the caller leaves, or is back here

Each POST is read within limits, then its signature is checked, and only then is anything
believed. 403 says no more than that, also when the number is not ours. Whoever sends too much of
that is turned away (`lines/strangers.py`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chorus.lines.desk import Admitted, Connection, Desk, InboundCall
from chorus.lines.strangers import Strangers
from chorus.lines.twilio import twiml
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import (
    ANSWERED_PATH,
    DIALLED_PATH,
    MACHINE_PATH,
    STATUS_PATH,
    VOICE_PATH,
    Links,
)
from chorus.lines.twilio.status import CallStatus, StatusUpdate, machine_result
from chorus.lines.twilio.webhook import Form, number, read_form, signature_of, signed
from chorus.lines.webhook_body import decided, genuine

log = logging.getLogger(__name__)

# Twilio waits 15 s for TwiML, then plays an error to the caller.
ANSWER_TIMEOUT_S = 10.0
MAX_TOKEN_CHARS = 8192
"""Of a `CallToken`: it holds the signatures of the caller's network, each about a thousand."""
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
Whose = Callable[[Form], Awaitable[Sequence[Connection]]]
"""Whose webhook it may be, by what it says."""
_STATUSES = {status.value: status for status in CallStatus}


def webhook_routes(desk: Desk, links: Links, api_url: str) -> Sequence[Route]:
    """Mounted at the root; the number's "A call comes in" webhook is set to `links.voice_url`."""
    webhooks = _Webhooks(desk, links, api_url)
    return (
        Route(VOICE_PATH, webhooks.voice, methods=["POST"]),
        Route(STATUS_PATH, webhooks.number_status, methods=["POST"]),
        Route(STATUS_PATH + "/{call_id}", webhooks.status, methods=["POST"]),
        Route(MACHINE_PATH + "/{call_id}", webhooks.machine, methods=["POST"]),
        Route(ANSWERED_PATH + "/{call_id}", webhooks.transferred, methods=["POST"]),
        Route(DIALLED_PATH + "/{call_id}", webhooks.dialled, methods=["POST"]),
    )


class _Webhooks:
    def __init__(self, desk: Desk, links: Links, api_url: str) -> None:
        self._desk = desk
        self._links = links
        self._api_url = api_url
        self._strangers = Strangers("a webhook")

    async def voice(self, request: Request) -> Response:
        form, ours = await self._signed(request, self._links.voice_url, self._of_number)
        inbound = InboundCall(
            leg_id=_required(form, "CallSid"),
            from_=form.get("From", ""),
            to=form.get("To", ""),
            phone_number_id=ours.phone_number_id,
            forward_token=_forward_token(form),
        )
        decision = await decided(self._desk, inbound, ANSWER_TIMEOUT_S)
        if isinstance(decision, Admitted):
            url = self._links.media_url(decision.call_id, decision.token)
            document = twiml.connect_stream(url)
        else:
            document = twiml.reject(decision.how)
        return Response(document, media_type=twiml.MEDIA_TYPE)

    async def number_status(self, request: Request) -> Response:
        """What is set on a number as its "call status changes" webhook names no call of ours: the
        number whose account signed may speak of its own calls."""
        form, ours = await self._signed(request, self._links.status_url(None), self._of_number)
        # A call SID alone is anybody's to send.
        leg_id = _required(form, "CallSid")
        call_id = await self._desk.call_of_leg(leg_id, ours.phone_number_id)
        if call_id is not None:
            await self._note(form, call_id)
        return Response(status_code=204)

    async def status(self, request: Request) -> Response:
        call_id = _call_id(request)
        url = self._links.status_url(call_id)
        form, _ = await self._signed(request, url, self._of_call(call_id))
        await self._note(form, call_id)
        return Response(status_code=204)

    async def _note(self, form: Form, call_id: str) -> None:
        status = _STATUSES.get(_required(form, "CallStatus"))
        if status is None:
            log.warning("unknown call status %r ignored", form.get("CallStatus"))
            return
        update = StatusUpdate(
            call_sid=_required(form, "CallSid"),
            status=status,
            sip_code=number(form, "SipResponseCode"),
            duration_s=number(form, "CallDuration"),
        )
        progress = update.progress(call_id)
        if progress is not None:
            await self._desk.progress(progress)

    async def machine(self, request: Request) -> Response:
        call_id = _call_id(request)
        url = self._links.machine_url(call_id)
        form, _ = await self._signed(request, url, self._of_call(call_id))
        result = machine_result(
            call_sid=_required(form, "CallSid"),
            call_id=call_id,
            answered_by=_required(form, "AnsweredBy"),
        )
        await self._desk.machine(result)
        return Response(status_code=204)

    async def transferred(self, request: Request) -> Response:
        call_id = _call_id(request)
        url = self._links.answered_url(call_id)
        form, _ = await self._signed(request, url, self._of_call(call_id))
        # Of the leg that was called; the caller's is its parent.
        if form.get("CallStatus") == CallStatus.IN_PROGRESS:
            await self._desk.transferred(call_id, _required(form, "ParentCallSid"))
        return Response(status_code=204)

    async def dialled(self, request: Request) -> Response:
        """https://www.twilio.com/docs/voice/twiml/dial#dialcallstatus-values"""
        call_id = _call_id(request)
        url = self._links.dialled_url(call_id)
        form, _ = await self._signed(request, url, self._of_call(call_id))
        leg_id = _required(form, "CallSid")
        document = twiml.hang_up()
        if form.get("CallStatus") == CallStatus.COMPLETED:
            await self._note(form, call_id)  # the caller hung up
        elif _required(form, "DialCallStatus") in ("completed", "answered"):
            await self._desk.transferred(call_id, leg_id)
        elif (token := await self._desk.returns(call_id, leg_id)) is not None:
            document = twiml.connect_stream(self._links.media_url(call_id, token))
        return Response(document, media_type=twiml.MEDIA_TYPE)

    async def _signed(self, request: Request, url: str, whose: Whose) -> tuple[Form, Connection]:
        """What was sent to `url`, and by whom: of those that it may be from, the one whose account
        signed it. Raises as `genuine` and `read_form`."""

        async def sender(form: Form) -> Connection | None:
            # Without a signature, nobody has to be looked for.
            found = await whose(form) if signature_of(request.headers) else ()
            for connection in found:
                if signed(request, url, form, TwilioAccount.of(connection, self._api_url)):
                    return connection
            return None

        return await genuine(self._strangers, request, read_form, sender)

    async def _of_number(self, form: Form) -> Sequence[Connection]:
        """Those that name the number that was called and the account that the form is from: that
        somebody names both who has not the account's token changes nothing."""
        return [
            connection
            for connection in await self._desk.connections_of_number(form.get("To", ""))
            if connection.settings["twilioAccountSid"] == form.get("AccountSid")
        ]

    def _of_call(self, call_id: str) -> Whose:
        async def whose(_: Form) -> Sequence[Connection]:
            connection = await self._desk.connection_of_call(call_id)
            return () if connection is None else (connection,)

        return whose


def _call_id(request: Request) -> str:
    call_id: str = request.path_params["call_id"]
    if not _CALL_ID.fullmatch(call_id):
        raise HTTPException(404)
    return call_id


def _forward_token(form: Form) -> str:
    """https://www.twilio.com/docs/voice/api/call-resource#create-a-call (`CallToken`)"""
    token = form.get("CallToken", "")
    if len(token) > MAX_TOKEN_CHARS:
        log.warning("a CallToken of %d characters was not kept", len(token))
        return ""
    return token


def _required(form: Form, name: str) -> str:
    text = form.get(name, "")
    if not text or len(text) > 256:
        raise HTTPException(400, f"the webhook's field {name} is missing or too long")
    return text
