"""What tests and the demo steer the carrier by: JSON over HTTP, on loopback only.

POST /control/accounts               {sid, auth_token}
POST /control/numbers                {number, account_sid, voice_url, status_url?}
POST /control/people                 {number, person, times?}   who answers the next calls
POST /control/calls                  {to, from, person}         somebody calls one of our numbers
                                                                (over SIP where there is a port)
POST /control/calls/{sid}/steps      {steps}                    more for the person to do
GET  /control/calls/{sid}            state, figures
GET  /control/calls/{sid}/heard      what the person heard, as it was played: 8 kHz µ-law
GET  /control/calls/{sid}/said       what the person said, sample for sample beside it
POST /control/faults                 {status, body?, delay_s?, times?, after?, done?}   it breaks
GET  /control/events?after=n         everything that happens, one JSON object a line, for ever
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chorus.demo.carrier.call import Order, SimulatedCall
from chorus.demo.carrier.exchange import Account, Exchange, Fault, Number
from chorus.demo.carrier.handset import Handset
from chorus.demo.carrier.person import Person, Say, Step, Steps, say

if TYPE_CHECKING:
    from chorus.demo.carrier.sip import SipCall

Body = TypeVar("Body", bound=BaseModel)


class NewAccount(BaseModel):
    sid: str
    auth_token: str


class NewNumber(BaseModel):
    number: str
    account_sid: str
    voice_url: str
    status_url: str | None = None


class NewPerson(BaseModel):
    number: str
    person: Person
    times: int = Field(default=1, ge=1)


class NewCall(BaseModel):
    to: str
    from_: str = Field(alias="from")
    person: Person = Person()


class NewFault(BaseModel):
    status: int = 500
    body: str = ""
    delay_s: float = 0
    times: int = Field(default=1, ge=1)
    after: int = Field(default=0, ge=0)
    done: bool = False


class Control:
    def __init__(self, exchange: Exchange, models: Path | None = None) -> None:
        """`models`: a folder whose voice the people have, if what hears a call is in it too."""
        self._exchange = exchange
        self._models = models

    def routes(self) -> list[Route]:
        base = "/control"
        return [
            Route(f"{base}/accounts", self.add_account, methods=["POST"]),
            Route(f"{base}/numbers", self.add_number, methods=["POST"]),
            Route(f"{base}/people", self.expect, methods=["POST"]),
            Route(f"{base}/calls", self.call, methods=["POST"]),
            Route(f"{base}/calls/{{sid}}/steps", self.steps, methods=["POST"]),
            Route(f"{base}/calls/{{sid}}", self.look, methods=["GET"]),
            Route(f"{base}/calls/{{sid}}/heard", self.heard, methods=["GET"]),
            Route(f"{base}/calls/{{sid}}/said", self.said, methods=["GET"]),
            Route(f"{base}/faults", self.fault, methods=["POST"]),
            Route(f"{base}/events", self.events, methods=["GET"]),
        ]

    async def add_account(self, request: Request) -> Response:
        body = await _body(request, NewAccount)
        self._exchange.accounts[body.sid] = Account(body.sid, body.auth_token)
        return Response(status_code=204)

    async def add_number(self, request: Request) -> Response:
        body = await _body(request, NewNumber)
        account = self._exchange.accounts.get(body.account_sid)
        if account is None:
            raise HTTPException(404, f"account {body.account_sid} is not known")
        self._exchange.numbers[body.number] = Number(
            body.number, account, body.voice_url, body.status_url
        )
        return Response(status_code=204)

    async def expect(self, request: Request) -> Response:
        body = await _body(request, NewPerson)
        person = body.person.model_copy(update={"steps": await self._spoken(body.person.steps)})
        self._exchange.expect(body.number, person, body.times)
        if self._exchange.telephones is not None:
            self._exchange.telephones.connect(body.number)
        return Response(status_code=204)

    async def call(self, request: Request) -> Response:
        body = await _body(request, NewCall)
        person = body.person.model_copy(update={"steps": await self._spoken(body.person.steps)})
        if self._exchange.telephones is not None:
            dialled = await self._exchange.telephones.call(body.to, body.from_, person)
            return JSONResponse({"sid": dialled.sid}, 201)
        number = self._exchange.numbers.get(body.to)
        if number is None:
            raise HTTPException(404, f"number {body.to} is not known")
        call = SimulatedCall(
            exchange=self._exchange,
            account=number.account,
            from_=body.from_,
            to=body.to,
            direction="inbound",
            order=Order(status_url=number.status_url),
            person=person,
        )
        self._exchange.calls[call.sid] = call
        self._exchange.spawn(call.run(call.inbound(number)))
        return JSONResponse({"sid": call.sid}, 201)

    async def steps(self, request: Request) -> Response:
        body = await _body(request, Steps)
        call = self._known(request)
        if call.actor is None:
            raise HTTPException(409, f"call {call.sid} has no media stream yet")
        call.actor.add(await self._spoken(body.steps))
        return Response(status_code=204)

    async def look(self, request: Request) -> Response:
        call = self._known(request)
        figures = {} if call.stream is None else _figures(call.stream)
        return JSONResponse(call.resource() | {"sip_code": call.sip_code, **figures})

    async def heard(self, request: Request) -> Response:
        return Response(bytes(self._stream(request).heard), media_type="audio/basic")

    async def said(self, request: Request) -> Response:
        return Response(bytes(self._stream(request).spoken), media_type="audio/basic")

    async def fault(self, request: Request) -> Response:
        body = await _body(request, NewFault)
        self._exchange.faults.append(Fault(**body.model_dump()))
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            raise HTTPException(400, "after is a whole number")

        async def lines() -> AsyncIterator[str]:
            async for event in self._exchange.follow(int(after)):
                yield json.dumps(event) + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    def _known(self, request: Request) -> SimulatedCall | SipCall:
        sid, telephones = request.path_params["sid"], self._exchange.telephones
        call = self._exchange.calls.get(sid) or (telephones and telephones.calls.get(sid))
        if call is None:
            raise HTTPException(404, "no such call")
        return call

    def _stream(self, request: Request) -> Handset:
        stream = self._known(request).stream
        if stream is None:
            raise HTTPException(409, "the call has no media stream yet")
        return stream

    async def _spoken(self, steps: Sequence[Step]) -> list[Step]:
        """The steps, with audio where there was text: it is made before the call, so that nobody
        waits for it in the call."""
        texts = {step.text for step in steps if isinstance(step, Say) and step.text is not None}
        if not texts:
            return list(steps)
        # Not before somebody speaks: the voice takes long to import.
        from chorus.demo.voices import cast_of, recite
        from chorus.speech.engines import EngineFailed

        try:
            audio = await recite(texts, None if self._models is None else cast_of(self._models))
        except EngineFailed as failure:
            raise HTTPException(503, f"there is no voice for a text: {failure}") from None
        return [
            say(audio[step.text], step.name) if isinstance(step, Say) and step.text else step
            for step in steps
        ]


def _figures(stream: Handset) -> dict[str, Any]:
    return {
        "stream_sid": stream.stream_sid,
        "responses": stream.responses,
        "clears": stream.clears,
        "underruns_ms": stream.underruns_ms,
        "counts": stream.counts,
        "heard_ms": len(stream.heard) / 8,
    }


async def _body(request: Request, model: type[Body]) -> Body:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(400, str(error)) from None
