"""Twilio's webhooks.

POST /twilio/voice             somebody calls one of our numbers: answered with TwiML
POST /twilio/status/{call_id}  how a call fares (`/twilio/status`: set on a number, no call id)
POST /twilio/amd/{call_id}     what answering-machine detection heard

Each POST is read within limits, then its signature is checked, and only then is anything
believed. 403 says no more than that, also when the number is not ours.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chorus.lines.desk import Admitted, Connection, Desk, InboundCall
from chorus.lines.twilio import twiml
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import MACHINE_PATH, STATUS_PATH, VOICE_PATH, Links
from chorus.lines.twilio.status import CallStatus, StatusUpdate, machine_result
from chorus.lines.twilio.webhook import Form, number, plain, read_form, signed

log = logging.getLogger(__name__)

# Twilio waits 15 s for TwiML, then plays an error to the caller.
ANSWER_TIMEOUT_S = 10.0
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUSES = {status.value: status for status in CallStatus}


def webhook_routes(desk: Desk, links: Links, api_url: str) -> Sequence[Route]:
    """Mounted at the root; the number's "A call comes in" webhook is set to `links.voice_url`."""
    webhooks = _Webhooks(desk, links, api_url)
    return (
        Route(VOICE_PATH, webhooks.voice, methods=["POST"]),
        Route(STATUS_PATH, webhooks.number_status, methods=["POST"]),
        Route(STATUS_PATH + "/{call_id}", webhooks.status, methods=["POST"]),
        Route(MACHINE_PATH + "/{call_id}", webhooks.machine, methods=["POST"]),
    )


class _Webhooks:
    def __init__(self, desk: Desk, links: Links, api_url: str) -> None:
        self._desk = desk
        self._links = links
        self._api_url = api_url

    async def voice(self, request: Request) -> Response:
        form = await read_form(request)
        to = form.get("To", "")
        ours = await self._number_that_signed(request, self._links.voice_url, form)
        inbound = InboundCall(
            leg_id=_required(form, "CallSid"),
            from_=form.get("From", ""),
            to=to,
            phone_number_id=ours.phone_number_id,
            params=plain(form),
        )
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                decision = await self._desk.answer(inbound)
        except TimeoutError:
            log.error("call %s: no decision within %g s", inbound.leg_id, ANSWER_TIMEOUT_S)
            # An error status, so that the carrier tries the number's fallback URL.
            raise HTTPException(503, "no decision in time") from None
        if isinstance(decision, Admitted):
            url = self._links.media_url(decision.call_id, decision.token)
            document = twiml.connect_stream(url)
        else:
            log.info("call %s to %s refused: %s", inbound.leg_id, to, decision.reason)
            document = twiml.reject(decision.how)
        return Response(document, media_type=twiml.MEDIA_TYPE)

    async def number_status(self, request: Request) -> Response:
        """What is set on a number as its "call status changes" webhook names no call of ours: the
        number whose account signed may speak of its own calls."""
        form = await read_form(request)
        ours = await self._number_that_signed(request, self._links.status_url(None), form)
        # A call SID alone is anybody's to send.
        leg_id = _required(form, "CallSid")
        call_id = await self._desk.call_of_leg(leg_id, ours.phone_number_id)
        if call_id is not None:
            await self._note(form, call_id)
        return Response(status_code=204)

    async def status(self, request: Request) -> Response:
        form = await read_form(request)
        call_id = _call_id(request)
        account = await self._account_of_call(call_id)
        url = self._links.status_url(call_id)
        if account is None or not signed(request, url, form, account):
            raise _forbidden(request)
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
        form = await read_form(request)
        call_id = _call_id(request)
        account = await self._account_of_call(call_id)
        url = self._links.machine_url(call_id)
        if account is None or not signed(request, url, form, account):
            raise _forbidden(request)
        result = machine_result(
            call_sid=_required(form, "CallSid"),
            call_id=call_id,
            answered_by=_required(form, "AnsweredBy"),
            after_ms=number(form, "MachineDetectionDuration"),
        )
        await self._desk.machine(result)
        return Response(status_code=204)

    async def _number_that_signed(self, request: Request, url: str, form: Form) -> Connection:
        """Of those that name the number that was called, the one whose account signed this: that
        somebody else names it too, even with the same account SID, changes nothing. Raises
        `HTTPException` 403."""
        for connection in await self._desk.connections_of_number(form.get("To", "")):
            account = TwilioAccount.of(connection, self._api_url)
            if account.account_sid == form.get("AccountSid") and signed(
                request, url, form, account
            ):
                return connection
        raise _forbidden(request)

    async def _account_of_call(self, call_id: str) -> TwilioAccount | None:
        connection = await self._desk.connection_of_call(call_id)
        return TwilioAccount.of(connection, self._api_url) if connection else None


def _call_id(request: Request) -> str:
    call_id: str = request.path_params["call_id"]
    if not _CALL_ID.fullmatch(call_id):
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
