"""A carrier without a telephone network: the other end of a call is a program on the same
network, over plain HTTP and a websocket. There only where `CHORUS_SIMULATED` is set, because
anybody who reaches the server may ring; for tests, measurements, and as the smallest example of a
carrier.

POST /loopback/calls {"from", "to"}     ring one of our numbers: 201 with `legId` and `mediaPath`,
                                        403 or 486 if the call is refused
GET  /loopback/ringing?to=…             the calls that ring at a number outside, waits up to 10 s
POST /loopback/legs/{leg} {"stage"}     what becomes of one: `ringing`, `busy`, `rejected`,
                                        `no_answer`, `completed`; or {"answeredBy": "machine"}
WS   /loopback/media/{call}/{token}     the audio; connecting is answering (`media.py`)
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from chorus.lines.carrier import CarrierKind
from chorus.lines.desk import (
    Admitted,
    Connection,
    Desk,
    Detected,
    InboundCall,
    MachineResult,
    Progress,
    Stage,
)
from chorus.lines.line import Dial, LineCause, LineEnded
from chorus.lines.loopback.media import LoopbackMedia
from chorus.lines.media_socket import MediaSocket
from chorus.lines.sip.headers import headers_for
from chorus.settings import Settings

WAIT_S = 10.0
BODY_S = 10.0

_ENDS = {
    "busy": LineCause.BUSY,
    "rejected": LineCause.REJECTED,
    "no_answer": LineCause.NO_ANSWER,
    "completed": LineCause.FAR_END,
}


@dataclass(frozen=True, slots=True)
class Ringing:
    """A call that Chorus places, until the far end does something with it."""

    leg_id: str
    call_id: str
    token: str
    from_: str
    to: str
    headers: tuple[tuple[str, str], ...] = ()


class LoopbackCarrier:
    """Implements `Carrier`."""

    def __init__(self) -> None:
        self._ringing: dict[str, Ringing] = {}
        self._placed: dict[str, str] = {}
        self._news = asyncio.Condition()

    def routes(self, desk: Desk) -> Sequence[BaseRoute]:
        far_end = _FarEnd(self, desk)
        return (
            Route("/loopback/calls", far_end.ring, methods=["POST"]),
            Route("/loopback/ringing", far_end.ringing, methods=["GET"]),
            Route("/loopback/legs/{leg_id}", far_end.progress, methods=["POST"]),
            WebSocketRoute(
                "/loopback/media/{call_id}/{token}", MediaSocket(desk, self, LoopbackMedia())
            ),
        )

    async def start(self, desk: Desk) -> None:
        return

    def dialler(self, connection: Connection, token: str) -> LoopbackDialler:
        return LoopbackDialler(self, token)

    async def end(self, connection: Connection, leg_id: str) -> None:
        # The far end learns it by the end of its websocket, or by 404 for what it rings for.
        self._ringing.pop(leg_id, None)

    async def check(self, connection: Connection) -> str | None:
        return None

    async def aclose(self) -> None:
        self._ringing.clear()

    async def place(self, ringing: Ringing) -> None:
        async with self._news:
            self._ringing[ringing.leg_id] = ringing
            self._placed[ringing.leg_id] = ringing.call_id
            self._news.notify_all()

    async def take(self, to: str) -> list[Ringing]:
        """Those that ring at this number and were not taken yet; waits for one."""
        async with self._news:
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._news.wait_for(
                        lambda: any(r.to == to for r in self._ringing.values())
                    )
            except TimeoutError:
                return []
            found = [ringing for ringing in self._ringing.values() if ringing.to == to]
            for ringing in found:
                del self._ringing[ringing.leg_id]
            return found

    def call_of(self, leg_id: str) -> str | None:
        return self._placed.get(leg_id)


class LoopbackDialler:
    """Implements `Dialler`."""

    def __init__(self, carrier: LoopbackCarrier, token: str) -> None:
        self._carrier = carrier
        self._token = token

    async def dial(self, dial: Dial) -> str:
        leg_id = f"loop-{secrets.token_hex(8)}"
        ringing = Ringing(
            leg_id, dial.call_id, self._token, dial.from_, dial.to, headers_for({}, dial.headers)
        )
        await self._carrier.place(ringing)
        return leg_id

    async def cancel(self, leg_id: str) -> None:
        await self._carrier.end(Connection("", "", {}), leg_id)


class _FarEnd:
    """The routes that the program at the other end uses."""

    def __init__(self, carrier: LoopbackCarrier, desk: Desk) -> None:
        self._carrier = carrier
        self._desk = desk

    async def ring(self, request: Request) -> Response:
        wish = await _body(request)
        leg_id = f"loop-{secrets.token_hex(8)}"
        from_, to = _text(wish, "from"), _text(wish, "to")
        # Nothing proves here whose number it is: it is for whoever had it first.
        found = await self._desk.connections_of_number(to)
        if not found:
            return JSONResponse({"refused": "nobody has this number"}, 403)
        inbound = InboundCall(leg_id, from_, to, found[0].phone_number_id)
        decision = await self._desk.answer(inbound)
        if not isinstance(decision, Admitted):
            return JSONResponse(
                {"refused": decision.reason}, 486 if decision.how == "busy" else 403
            )
        path = f"/loopback/media/{decision.call_id}/{decision.token}"
        return JSONResponse({"legId": leg_id, "callId": decision.call_id, "mediaPath": path}, 201)

    async def ringing(self, request: Request) -> Response:
        found = await self._carrier.take(request.query_params.get("to", ""))
        return JSONResponse(
            [
                {
                    "legId": ringing.leg_id,
                    "callId": ringing.call_id,
                    "from": ringing.from_,
                    "headers": dict(ringing.headers),
                    "mediaPath": f"/loopback/media/{ringing.call_id}/{ringing.token}",
                }
                for ringing in found
            ]
        )

    async def progress(self, request: Request) -> Response:
        leg_id = request.path_params["leg_id"]
        call_id = self._carrier.call_of(leg_id) or await self._desk.call_of_leg(leg_id)
        if call_id is None:
            raise HTTPException(404)
        told = await _body(request)
        if "answeredBy" in told:
            heard = _text(told, "answeredBy")
            found: Detected = "machine" if heard.startswith("machine") else "person"
            await self._desk.machine(MachineResult(leg_id, call_id, heard, found))
            return Response(status_code=204)
        stage, answered = _text(told, "stage"), told.get("answered") is True
        if stage == "ringing":
            await self._desk.progress(Progress(leg_id, call_id, Stage.RINGING))
        elif stage in _ENDS:
            ended = LineEnded(_ENDS[stage])
            await self._desk.progress(Progress(leg_id, call_id, Stage.ENDED, ended, answered))
        else:
            raise HTTPException(400, "stage is ringing, busy, rejected, no_answer or completed")
        return Response(status_code=204)


async def _body(request: Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(BODY_S):
            body: Any = orjson.loads(await request.body())
    except TimeoutError:
        raise HTTPException(408, "the body did not arrive in time") from None
    except (ClientDisconnect, ValueError):
        raise HTTPException(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is no JSON object")
    return cast("dict[str, Any]", body)


def _text(body: dict[str, Any], name: str) -> str:
    text = body.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= 64:
        raise HTTPException(400, f"{name} must be a text of 1 to 64 characters")
    return text


def _make(_: Settings) -> LoopbackCarrier:
    return LoopbackCarrier()


LOOPBACK = CarrierKind(
    "loopback",
    make=_make,
    simulated=True,
    detects_machines=True,
    calls_addresses=True,
    sends_headers="always",
    shows_caller="always",
)
