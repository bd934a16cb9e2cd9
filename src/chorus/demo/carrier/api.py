"""The REST API, as much of it as placing, ending and finding calls needs, and finding who is in a
conference.

https://www.twilio.com/docs/voice/api/call-resource, /conference-resource,
/conference-participant-resource; errors https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chorus.demo.carrier.call import FINAL, Order, SimulatedCall
from chorus.demo.carrier.conference import conference_sid
from chorus.demo.carrier.exchange import Account, Exchange
from chorus.demo.carrier.twiml import TwimlError

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_ACCOUNT = "/2010-04-01/Accounts/{account_sid}"
_BASE = _ACCOUNT + "/Calls"
_CONFERENCES = _ACCOUNT + "/Conferences"


class _Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Api:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[Route]:
        return [
            Route(_BASE + ".json", self.create, methods=["POST"]),
            Route(_BASE + ".json", self.calls, methods=["GET"]),
            Route(_BASE + "/{sid}.json", self.fetch, methods=["GET"]),
            Route(_BASE + "/{sid}.json", self.update, methods=["POST"]),
            Route(_CONFERENCES + ".json", self.conferences, methods=["GET"]),
            Route(_CONFERENCES + "/{sid}/Participants.json", self.participants, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        return await self._answered(request, self._create)

    async def fetch(self, request: Request) -> Response:
        return await self._answered(request, self._fetch)

    async def update(self, request: Request) -> Response:
        return await self._answered(request, self._update)

    async def calls(self, request: Request) -> Response:
        return await self._answered(request, self._calls)

    async def conferences(self, request: Request) -> Response:
        return await self._answered(request, self._conferences)

    async def participants(self, request: Request) -> Response:
        return await self._answered(request, self._participants)

    async def _answered(self, request: Request, do: Any) -> Response:
        form = await request.form() if request.method == "POST" else FormData()
        self._exchange.tell(
            "api", "", method=request.method, path=request.url.path, form=_listed(form)
        )
        fault = self._exchange.next_fault()
        if fault is not None:
            if fault.done:
                do(request, self._account(request), form)
            await asyncio.sleep(fault.delay_s)
            return Response(fault.body, fault.status, media_type="application/json")
        try:
            return do(request, self._account(request), form)
        except _Refused as refused:
            body = {
                "code": refused.code,
                "message": refused.message,
                "more_info": f"https://www.twilio.com/docs/errors/{refused.code}",
                "status": refused.status,
            }
            return JSONResponse(body, refused.status)

    def _account(self, request: Request) -> Account:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            sid, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            sid = token = ""
        account = self._exchange.accounts.get(sid)
        known = account is not None and hmac.compare_digest(account.auth_token, token)
        if scheme.lower() != "basic" or account is None or not known:
            raise _Refused(401, 20003, "Authenticate")
        if request.path_params["account_sid"] != sid:
            raise _Refused(404, 20404, f"The requested resource {request.url.path} was not found")
        return account

    def _create(self, request: Request, account: Account, form: FormData) -> Response:
        to, from_ = _text(form, "To"), _text(form, "From")
        if not to:
            raise _Refused(400, 21201, "No 'To' number is specified")
        if not _E164.fullmatch(to) and not to.startswith("sip:"):
            raise _Refused(
                400, 21211, f"The phone number you are attempting to call, {to}, is not valid."
            )
        if not _E164.fullmatch(from_):
            raise _Refused(400, 21212, f"The 'From' number {from_} is not a valid phone number.")
        number = self._exchange.numbers.get(from_)
        is_ours = number is not None and number.account.sid == account.sid
        if not is_ours and not self._forwards(account, from_, _text(form, "CallToken")):
            raise _Refused(400, 21210, f"'From' phone number not verified: {from_}")
        call = SimulatedCall(
            exchange=self._exchange,
            account=account,
            from_=from_,
            to=to,
            direction="outbound-api",
            order=_order(form),
            person=self._exchange.person_at(to),
        )
        self._exchange.calls[call.sid] = call
        created = call.resource()
        self._exchange.spawn(call.run(call.outbound()))
        return JSONResponse(created, 201)

    def _forwards(self, account: Account, from_: str, token: str) -> bool:
        """Whether the token is that of a call from this number that came in for the account: "a
        forwarded call should bear the same CallerID of the original incoming call"."""
        return any(
            call.direction == "inbound"
            and call.account.sid == account.sid
            and call.from_ == from_
            and hmac.compare_digest(call.call_token.encode(), token.encode())
            for call in self._exchange.calls.values()
        )

    def _fetch(self, request: Request, account: Account, form: FormData) -> Response:
        return JSONResponse(self._call(request, account).resource())

    def _calls(self, request: Request, account: Account, form: FormData) -> Response:
        wanted = {"parent_call_sid": "ParentCallSid", "status": "Status"}
        found = [
            call.resource() for call in self._exchange.calls.values() if call.account == account
        ]
        for field, name in wanted.items():
            if (value := request.query_params.get(name)) is not None:
                found = [each for each in found if each[field] == value]
        return _page(request, "calls", found)

    def _conferences(self, request: Request, account: Account, form: FormData) -> Response:
        """Those that are under way: what is over is not kept here."""
        name, status = (request.query_params.get(key) for key in ("FriendlyName", "Status"))
        found = [
            {"sid": conference_sid(key), "account_sid": account.sid, "friendly_name": key[1]}
            | {"status": "in-progress"}
            for key in self._exchange.conferences
            if key[0] == account.sid and name in (None, key[1])
        ]
        return _page(request, "conferences", found if status in (None, "in-progress") else [])

    def _participants(self, request: Request, account: Account, form: FormData) -> Response:
        sid = request.path_params["sid"]
        for key, seats in self._exchange.conferences.items():
            if key[0] == account.sid and conference_sid(key) == sid:
                found = [{"call_sid": seat.call_sid, "conference_sid": sid} for seat in seats]
                return _page(request, "participants", found)
        raise _Refused(404, 20404, f"The requested resource {request.url.path} was not found")

    def _update(self, request: Request, account: Account, form: FormData) -> Response:
        call = self._call(request, account)
        status, twiml = _text(form, "Status"), _text(form, "Twiml")
        if twiml:
            if call.status != "in-progress" or call.leaving:
                raise _Refused(400, 21220, "Call is not in-progress. Cannot redirect.")
            try:
                call.redirect(twiml, _text(form, "StatusCallback") or None)
            except TwimlError as error:
                raise _Refused(400, 12100, str(error)) from None
            return JSONResponse(call.resource())
        if status not in ("completed", "canceled"):
            raise _Refused(400, 20001, f"Invalid parameter Status: {status!r}")
        if call.status in FINAL:
            raise _Refused(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "completed" or call.answered_s is None:
            call.force(status)
        return JSONResponse(call.resource())

    def _call(self, request: Request, account: Account) -> SimulatedCall:
        call = self._exchange.calls.get(request.path_params["sid"])
        if call is None or call.account.sid != account.sid:
            raise _Refused(404, 20404, f"The requested resource {request.url.path} was not found")
        return call


def _page(request: Request, name: str, found: list[dict[str, Any]]) -> Response:
    """All of it on one page, the newest first."""
    facts = {"page": 0, "page_size": 50, "uri": request.url.path, "next_page_uri": None}
    return JSONResponse({name: found[::-1], **facts})


def _order(form: FormData) -> Order:
    twiml, url = _text(form, "Twiml") or None, _text(form, "Url") or None
    if twiml is None and url is None:
        raise _Refused(400, 21205, "One of Url, Twiml and ApplicationSid is required")
    if twiml is not None and len(twiml) > 4000:
        raise _Refused(400, 20001, "Twiml may hold at most 4000 characters")
    events = {e for value in form.getlist("StatusCallbackEvent") for e in str(value).split()}
    if not events <= _EVENTS:
        raise _Refused(400, 21626, f"Invalid StatusCallbackEvent: {sorted(events - _EVENTS)}")
    timeout = _text(form, "Timeout") or "60"
    if not timeout.isdecimal() or not 1 <= int(timeout) <= 600:
        raise _Refused(400, 20001, f"Invalid parameter Timeout: {timeout!r}")
    digits = _text(form, "SendDigits")
    if not re.fullmatch(r"[0-9A-D#*wW]{0,32}", digits):
        raise _Refused(400, 21218, f"Invalid parameter SendDigits: {digits!r}")
    detection = "" if digits else _text(form, "MachineDetection")
    if detection not in ("", "Enable", "DetectMessageEnd"):
        raise _Refused(400, 20001, f"Invalid parameter MachineDetection: {detection!r}")
    return Order(
        twiml=twiml,
        url=url,
        status_url=_text(form, "StatusCallback") or None,
        status_events=frozenset(events) or frozenset({"completed"}),
        ring_timeout_s=int(timeout),
        send_digits=digits,
        detect_machine=bool(detection),
        async_detection=_text(form, "AsyncAmd") == "true",
        machine_url=_text(form, "AsyncAmdStatusCallback") or None,
    )


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _listed(form: FormData) -> dict[str, list[str]]:
    return {name: [str(value) for value in form.getlist(name)] for name in form}
