"""The life of one call at the carrier: ring, answer, do what the TwiML says, end.

`run` takes one of two ways in (a person calls a number; the API calls a person) and always
ends in the same way: the final status, one last callback. Whoever wants the call over
(the API, the person, the other side of the stream) makes the way end, nothing more.

Statuses: https://www.twilio.com/docs/voice/api/call-resource#call-status-values
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import httpx

from chorus.demo.carrier.conference import Seat
from chorus.demo.carrier.exchange import Account, Exchange, Number
from chorus.demo.carrier.handset import Handset
from chorus.demo.carrier.person import Person
from chorus.demo.carrier.script import Actor
from chorus.demo.carrier.signature import sign
from chorus.demo.carrier.stream import MediaStream
from chorus.demo.carrier.twiml import (
    Conference,
    Dial,
    Hangup,
    OpenStream,
    Pause,
    Reject,
    Say,
    TwimlError,
    Verb,
    read_twiml,
)

FINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
WEBHOOK_TIMEOUT_S = 15.0
# Which callback event a status belongs to.
_EVENT = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}


def _call_token() -> str:
    """In the form that Twilio's have: JSON, percent-encoded."""
    return quote(json.dumps({"parentCallInfoToken": token_urlsafe(48), "identityHeaderTokens": []}))


@dataclass(frozen=True, slots=True)
class Order:
    """What the API was asked for: where TwiML comes from and who wants to know."""

    twiml: str | None = None
    url: str | None = None
    status_url: str | None = None
    status_events: frozenset[str] = frozenset({"completed"})
    ring_timeout_s: int = 60
    send_digits: str = ""
    detect_machine: bool = False
    async_detection: bool = False
    machine_url: str | None = None


@dataclass(slots=True, kw_only=True)
class SimulatedCall:
    exchange: Exchange
    account: Account
    from_: str
    to: str
    direction: str
    order: Order
    person: Person | None
    parent_sid: str | None = None
    """Of the call whose `<Dial>` placed this one."""
    sid: str = field(default_factory=lambda: f"CA{random.getrandbits(128):032x}")
    call_token: str = field(default_factory=_call_token)
    """What a call that shows the number of this one's caller has to bring."""
    status: str = "queued"
    sip_code: int | None = None
    answered_by: str | None = None
    answered_s: float | None = None
    duration_s: int | None = None
    created: str = field(default_factory=lambda: formatdate(usegmt=True))
    stream: Handset | None = None
    actor: Actor | None = None
    _way: asyncio.Task[str] | None = None
    _forced: str | None = None
    _next: list[Verb] | None = None
    _sequence: int = 0
    _callbacks: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, way: Coroutine[Any, Any, str]) -> None:
        self._way = asyncio.create_task(way)
        try:
            final = await self._way
        except asyncio.CancelledError:
            if self._forced is None:
                raise
            final = self._forced
        except (TwimlError, httpx.HTTPError) as error:
            self._tell("call.broken", error=f"{type(error).__name__}: {error}")
            final = "failed" if self.answered_s is None else "completed"
        if self.answered_s is not None:
            self.duration_s = round(time.monotonic() - self.answered_s)
        await self._set(final)
        self._tell("call.over", status=final)

    def force(self, status: str) -> None:
        """The API ends the call."""
        if self.status not in FINAL and self._way is not None:
            self._forced = "completed" if self.answered_s is not None else "canceled"
            self._tell("call.ended_by_api", asked=status)
            self._way.cancel()

    @property
    def leaving(self) -> bool:
        """The person has hung up, and the rest of the end is under way."""
        return self.stream is not None and self.stream.over == "hung_up"

    def redirect(self, document: str, status_url: str | None) -> None:
        """The API has the call do this instead: its stream stops. Raises `TwimlError`."""
        self._next = read_twiml(document)
        if status_url is not None:
            self.order = replace(self.order, status_url=status_url)
        self._tell("call.redirected")
        if self.stream is not None:
            self.stream.end("redirected")

    # The two ways in; each returns the final status.

    async def inbound(self, number: Number) -> str:
        await self._set("ringing")
        facts = self._facts() | {"CallToken": self.call_token}
        document = await self._webhook(number.voice_url, facts)
        verbs = read_twiml(document)
        if verbs and isinstance(verbs[0], Reject):
            self._tell("call.rejected", reason=verbs[0].reason)
            return "busy" if verbs[0].reason == "busy" else "no-answer"
        await self._answered()
        return await self._perform(verbs)

    async def outbound(self) -> str:
        await self._set("initiated")
        person = self.person
        if person is None:
            self.sip_code = 404
            return "failed"
        if person.answer == "fail":
            self.sip_code = person.sip_code or 503
            return "failed"
        await self._set("ringing")
        if person.answer == "no_answer" or person.ring_ms / 1000 > self.order.ring_timeout_s:
            await asyncio.sleep(self.order.ring_timeout_s)
            self.sip_code = 487
            return "no-answer"
        await asyncio.sleep(person.ring_ms / 1000)
        if person.answer in ("busy", "reject"):
            self.sip_code = person.sip_code or (486 if person.answer == "busy" else 603)
            return "busy"
        await self._answered()
        if self.order.send_digits:
            self._tell("call.pressed", digits=self.order.send_digits)
        if self.order.detect_machine:
            await self._detect(person)
        if self.order.twiml is not None:
            document = self.order.twiml
        else:
            document = await self._webhook(self.order.url or "", self._facts())
        return await self._perform(read_twiml(document))

    async def dialled(self) -> str:
        """Somebody whom a `<Dial>` called, and who has picked up."""
        await self._answered()
        await asyncio.sleep((self.person or Person()).dialled_ms / 1000)
        return "completed"

    async def _answered(self) -> None:
        self.answered_s = time.monotonic()
        await self._set("in-progress")

    async def _detect(self, person: Person) -> None:
        async def report() -> None:
            await asyncio.sleep(person.detect_ms / 1000)
            self.answered_by = person.answered_by
            if self.order.machine_url and self.status not in FINAL:
                facts = {
                    "CallSid": self.sid,
                    "AccountSid": self.account.sid,
                    "AnsweredBy": person.answered_by,
                    "MachineDetectionDuration": str(person.detect_ms),
                }
                await self._webhook(self.order.machine_url, facts)

        if self.order.async_detection:
            self.exchange.spawn(self._unbothered(report()))
        else:
            # Synchronous detection: nothing happens on the call until it is done.
            await asyncio.sleep(person.detect_ms / 1000)
            self.answered_by = person.answered_by

    async def _perform(self, verbs: list[Verb]) -> str:
        final = await self._perform_all(verbs)
        while self._next is not None and not self.leaving:
            verbs, self._next = self._next, None
            final = await self._perform_all(verbs)
        return final

    async def _perform_all(self, verbs: list[Verb]) -> str:
        for verb in verbs:
            self._tell("verb", verb=type(verb).__name__)
            match verb:
                case OpenStream():
                    if await self._stream(verb) in ("hung_up", "left", "dropped", "redirected"):
                        return "completed"
                case Conference():
                    if await self._confer(verb) in ("hung_up", "redirected"):
                        return "completed"
                case Dial():
                    status = await self._dial(verb)
                    if verb.action:
                        # What follows `<Dial>` is not done then, but what the action says.
                        facts = self._facts() | {"DialCallStatus": status}
                        self._next = read_twiml(await self._webhook(verb.action, facts))
                        return "completed"
                case Pause():
                    await asyncio.sleep(verb.seconds)
                case Say():
                    # About the time that it takes to say it.
                    await asyncio.sleep(len(verb.text) * 0.06)
                case Hangup():
                    return "completed"
                case Reject():
                    raise TwimlError("12200: <Reject> in a call that was answered")
        return "completed"

    async def _dial(self, verb: Dial) -> str:
        """Call somebody else for the person: as a script says, or they pick up at once. Returns
        `DialCallStatus` (https://www.twilio.com/docs/voice/twiml/dial#dialcallstatus-values)."""
        other = self.exchange.person_at(verb.to) or Person()
        facts = {"to": verb.to, "caller_id": verb.caller_id, "timeout_s": verb.timeout_s}
        self._tell("call.dialled", **facts)
        callee = SimulatedCall(
            exchange=self.exchange,
            account=self.account,
            from_=verb.caller_id,
            to=verb.to,
            direction="outbound-dial",
            order=Order(status_url=verb.status_url or None, status_events=verb.events),
            person=other,
            parent_sid=self.sid,
        )
        self.exchange.calls[callee.sid] = callee
        callee.status = "ringing"
        try:
            callee.status = await _rings(other, verb.timeout_s)
            if callee.status not in FINAL:
                self._tell("call.connected", to=verb.to, callee=callee.sid)
                await callee.run(callee.dialled())
        except asyncio.CancelledError:
            # The call that it belongs to is over, and it with that.
            callee.status = "canceled" if callee.answered_s is None else "completed"
            raise
        return callee.status

    async def _confer(self, verb: Conference) -> str:
        name = (self.account.sid, verb.name)
        person = self.person or Person()
        return await self._act(Seat(self.exchange, self.sid, person, name, verb.ends))

    async def _stream(self, verb: OpenStream) -> str:
        person = self.person or Person()
        return await self._act(MediaStream(self.exchange, self.account.sid, self.sid, person, verb))

    async def _act(self, stream: MediaStream | Seat) -> str:
        # What begins after a transfer goes on with a person who has begun long ago.
        if self.actor is not None:
            steps = self.actor.left()
        else:
            steps = self.person.steps if self.person is not None else []
        actor = Actor(self.exchange, self.sid, steps)
        self.stream, self.actor = stream, actor
        acting = asyncio.create_task(actor.run(stream))
        try:
            return await stream.run()
        finally:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)

    # Outwards.

    async def _set(self, status: str) -> None:
        self.status = status
        self._tell("call.status", status=status)
        event = _EVENT.get(status, "completed" if status in FINAL else "")
        if self.order.status_url and event in self.order.status_events:
            facts = self._facts() | {
                "SequenceNumber": str(self._sequence),
                "Timestamp": formatdate(usegmt=True),
                "CallbackSource": "call-progress-events",
            }
            self._sequence += 1
            if self.sip_code is not None:
                facts["SipResponseCode"] = str(self.sip_code)
            if self.duration_s is not None:
                facts["CallDuration"] = facts["Duration"] = str(self.duration_s)
            if self.answered_by is not None:
                facts["AnsweredBy"] = self.answered_by
            # In order, but beside the call: a slow webhook holds up no audio.
            self.exchange.spawn(self._unbothered(self._callback(self.order.status_url, facts)))

    async def _callback(self, url: str, facts: dict[str, str]) -> None:
        async with self._callbacks:
            await self._webhook(url, facts)

    async def _unbothered(self, webhook: Coroutine[Any, Any, object]) -> None:
        try:
            await webhook
        except httpx.HTTPError as error:
            self._tell("webhook.failed", error=f"{type(error).__name__}: {error}")

    async def _webhook(self, url: str, fields: dict[str, str]) -> str:
        """POST, signed. Raises `httpx.HTTPError` unless the answer is a success."""
        headers = {"X-Twilio-Signature": sign(self.account.auth_token, url, fields)}
        answer = await self.exchange.http.post(
            url, data=fields, headers=headers, timeout=WEBHOOK_TIMEOUT_S
        )
        self._tell(
            "webhook",
            url=url,
            fields=fields,
            status=answer.status_code,
            answer=answer.text[:4000],
        )
        answer.raise_for_status()
        return answer.text

    def _facts(self) -> dict[str, str]:
        return {
            "CallSid": self.sid,
            "AccountSid": self.account.sid,
            "ApiVersion": "2010-04-01",
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
            "CallStatus": self.status,
            "Direction": self.direction,
            **({"ParentCallSid": self.parent_sid} if self.parent_sid else {}),
        }

    def resource(self) -> dict[str, Any]:
        """The Call resource of the API."""
        path = f"/2010-04-01/Accounts/{self.account.sid}/Calls/{self.sid}"
        return {
            "sid": self.sid,
            "parent_call_sid": self.parent_sid,
            "account_sid": self.account.sid,
            "api_version": "2010-04-01",
            "from": self.from_,
            "to": self.to,
            "status": "queued" if self.status == "initiated" else self.status,
            "direction": self.direction,
            "answered_by": self.answered_by,
            "date_created": self.created,
            "duration": None if self.duration_s is None else str(self.duration_s),
            "uri": f"{path}.json",
            "subresource_uris": {},
        }

    def _tell(self, kind: str, **facts: Any) -> None:
        self.exchange.tell(kind, self.sid, **facts)


async def _rings(person: Person, timeout_s: float) -> str:
    """The status of a call to them, once it does not ring any more."""
    if person.answer == "no_answer" or person.ring_ms / 1000 > timeout_s:
        await asyncio.sleep(timeout_s)
        return "no-answer"
    await asyncio.sleep(person.ring_ms / 1000)
    if person.answer in ("busy", "reject", "fail"):
        return "failed" if person.answer == "fail" else "busy"
    return "in-progress"
