"""Telnyx' Call Control as its documents describe it.

It knows nothing of Chorus: its signatures, commands and streams are its own reading of the
protocol, so that the two sides check each other. What it holds true to, besides the shapes:

- a call that comes in is parked until it is commanded (here for ever: Telnyx gives it up);
- the stream's end does not end the call, which may have several; a transfer leaves them running, as
  no document says otherwise;
- a transfer that fails is told by the `call.hangup` of the leg that was dialled alone, and the
  first leg may be commanded further; one that succeeds by `call.answered` and `call.bridged`, and
  then the end of one leg is that of the other;
- 422 with error 90018 for a command to a call that is over, 401 for a wrong key; a command that
  was sent already with the same `command_id` does nothing;
- a mark is echoed when what was sent before it was played, and by `clear`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.lines.happenings import Happenings
from tests.lines.telnyx.standin_stream import Stream
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

API_KEY = "KEY0123456789ABCDEF_of_the_tests"
APPLICATION = "1293384261075731499"
_KEY = Ed25519PrivateKey.from_private_bytes(b"telnyx of the tests, 32 bytes ok")
PUBLIC_KEY = base64.b64encode(_KEY.public_key().public_bytes_raw()).decode()


def signature(
    body: bytes, key: Ed25519PrivateKey = _KEY, at_s: int | None = None
) -> dict[str, str]:
    stamp = str(int(time.time()) if at_s is None else at_s)
    signed = base64.b64encode(key.sign(f"{stamp}|".encode() + body)).decode()
    return {"Telnyx-Signature-Ed25519": signed, "Telnyx-Timestamp": stamp}


@dataclass
class Person:
    """Who is at the far end of the calls that come next."""

    answer: str = "answers"
    """Or the cause of the end: `user_busy`, `call_rejected`, `not_found`, …; `silent`: lets it
    ring until somebody gives up."""
    sip: str = ""
    ring_s: float = 0.05
    machine: tuple[tuple[str, str], ...] = ()
    """Events of detection with their results."""
    connects: bool = True


@dataclass
class Call(Happenings):
    """A leg, from the first event to the last."""

    board: Telnyx
    direction: str
    from_: str
    to: str
    person: Person
    hook: str
    wish: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    id: str = field(default_factory=lambda: f"v3:{uuid.uuid4().hex}{uuid.uuid4().hex[:16]}")
    state: str | None = None
    streams: list[Stream] = field(default_factory=list[Stream])
    answered: bool = False
    commands: list[tuple[str, dict[str, Any]]] = field(default_factory=list[Any])
    bridged: Call | None = None
    """The leg that a transfer dialled."""
    dialled_for: Call | None = None
    """The leg that is to be connected with this one."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _cause: tuple[str, str] = ("normal_clearing", "200")
    _command_ids: set[str] = field(default_factory=set[str])

    @property
    def stream(self) -> Stream | None:
        """The newest."""
        return self.streams[-1] if self.streams else None

    async def run(self) -> None:
        try:
            direction = "incoming" if self.direction == "inbound" else "outgoing"
            state = "parked" if self.direction == "inbound" else "bridging"
            more: dict[str, Any] = {"direction": direction, "state": state}
            if self.headers:
                more["custom_headers"] = [
                    {"name": name, "value": value} for name, value in self.headers.items()
                ]
            await self.post("call.initiated", **more)
            if self.direction == "outbound":
                await self._ring()
            await self.over.wait()
        finally:
            self.board.calls.pop(self.id, None)
            for stream in self.streams:
                await self._stop(stream)
            cause, sip = self._cause
            await self.post("call.hangup", hangup_cause=cause, sip_hangup_cause=sip)
            self.tell("over", cause=cause)

    async def _stop(self, stream: Stream) -> None:
        if not stream.over:
            await self._quietly(stream.send("stop", stop={"user_id": "u"}))
        stream.over = True

    async def _quietly(self, sending: Any) -> None:
        try:
            await sending
        except ConnectionClosed:
            pass

    async def _ring(self) -> None:
        silent = self.person.answer == "silent"
        limit_s = self.wish["timeout_secs"] if silent else self.person.ring_s
        try:
            async with asyncio.timeout(limit_s):
                await self.over.wait()
            return
        except TimeoutError:
            pass
        if silent:
            self.end("timeout", "487")
        elif self.person.answer != "answers":
            self.end(self.person.answer, self.person.sip)
        else:
            await self.pick_up()
            for event, result in self.person.machine:
                await self.post(event, result=result)

    async def pick_up(self) -> None:
        self.answered = True
        await self.post("call.answered", state="answered")
        if self.dialled_for is not None:
            for leg in (self, self.dialled_for):
                await leg.post("call.bridged")
        if self.wish.get("stream_url"):
            self.board.spawn(self._stream())

    async def _stream(self) -> None:
        assert self.wish["stream_bidirectional_mode"] == "rtp", "the caller would hear nothing"
        assert self.wish["stream_bidirectional_codec"] == self.wish["stream_codec"] == "PCMU"
        if not self.person.connects:
            self.tell("unreachable")
            params = {"stream_url": self.wish["stream_url"], "track": self.wish["stream_track"]}
            failed = {"failure_reason": "connection_failed", "stream_params": params}
            await self.post("streaming.failed", **failed)
            return
        try:
            ws = await connect(self.wish["stream_url"], compression=None, max_size=None)
        except (OSError, InvalidStatus) as error:
            self.tell("unreachable", error=str(error))
            return
        stream = Stream(ws, self.tell)
        self.streams.append(stream)
        await ws.send(json.dumps({"event": "connected", "version": "1.0.0"}))
        start = {
            "user_id": "u",
            "call_control_id": self.id,
            "client_state": self.state,
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
            **self.board.start,
        }
        await stream.send("start", start=start)
        self.tell("streaming")
        await stream.run()
        self.tell("streamed", code=ws.close_code)

    def end(self, cause: str = "normal_clearing", sip: str = "200") -> None:
        if not self.over.is_set():
            self._cause = (cause, sip)
            self.over.set()
            if self.bridged is not None:
                self.bridged.hang_up()
            if self.dialled_for is not None and self.answered:
                self.dialled_for.end()

    def hang_up(self) -> None:
        """The person does."""
        self.end(*(() if self.answered else ("originator_cancel", "487")))

    async def obey(self, action: str, wish: dict[str, Any]) -> None:
        self.commands.append((action, wish))
        self.tell("command", action=action, **wish)
        if (id := wish.get("command_id")) is not None:
            if id in self._command_ids:
                return
            self._command_ids.add(id)
        match action:
            case "answer":
                self.state = wish.get("client_state", self.state)
                self.wish |= wish
                self.board.spawn(self.pick_up())
            case "reject":
                assert wish["cause"] in ("USER_BUSY", "CALL_REJECTED")
                busy = wish["cause"] == "USER_BUSY"
                self.end(*(("user_busy", "486") if busy else ("call_rejected", "603")))
            case "hangup":
                self.end(*(() if self.answered else ("originator_cancel", "487")))
            case "transfer":
                assert 5 <= wish["timeout_secs"] <= 600
                self.state = wish.get("client_state", self.state)
                leg = Call(self.board, "outbound", wish["from"], wish["to"], self.board.person,
                           wish.get("webhook_url", self.hook),
                           {"timeout_secs": wish["timeout_secs"]},
                           state=wish.get("target_leg_client_state"), dialled_for=self)  # fmt: skip
                self.board.begin(leg)
                self.bridged = leg
            case "streaming_stop":
                for stream in self.streams:
                    if wish.get("stream_id") in (None, stream.id):
                        await self._stop(stream)
                await self.post("streaming.stopped")
            case "streaming_start":
                self.state = wish.get("client_state", self.state)
                self.wish |= wish
                self.board.spawn(self._stream())
            case "send_dtmf":
                assert self.answered
            case other:
                raise AssertionError(f"Telnyx knows no action {other}")

    async def post(self, event: str, **more: Any) -> None:
        payload = {
            "call_control_id": self.id,
            "connection_id": APPLICATION,
            "call_leg_id": str(uuid.uuid4()),
            "call_session_id": str(uuid.uuid4()),
            "client_state": self.state,
            "from": self.from_,
            "to": self.to,
            **more,
        }
        await self.board.post(self, event, payload)


class Telnyx:
    """The account, its API, and its calls."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.person = Person()
        self.start: dict[str, Any] = {}
        """Laid over what a stream begins with."""
        self.sends_twice = False
        self.application: dict[str, Any] = {"active": True, "webhook_api_version": "2"}
        self.numbers: dict[str, str] = {}
        """To the id of the application that has them."""
        self.calls: dict[str, Call] = {}
        self.placed: list[Call] = []
        self.faults: list[Response | float] = []
        """What the API answers next instead, or how long it sleeps."""
        self.url = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/v2/calls", self._create, methods=["POST"]),
            Route("/v2/calls/{id}/actions/{action}", self._act, methods=["POST"]),
            Route("/v2/call_control_applications/{id}", self._look, methods=["GET"]),
            Route("/v2/phone_numbers", self._numbers, methods=["GET"]),
        ]

    def spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ring(self, hook: str, to: str, from_: str, **headers: str) -> Call:
        """Somebody calls `to`."""
        call = Call(self, "inbound", from_, to, self.person, hook, headers=headers)
        self.begin(call)
        return call

    def begin(self, call: Call) -> None:
        self.calls[call.id] = call
        self.spawn(call.run())

    async def post(self, call: Call, event: str, payload: dict[str, Any]) -> None:
        data = {"record_type": "event", "event_type": event, "id": str(uuid.uuid4())}
        body = json.dumps({"data": {**data, "payload": payload}}).encode()
        for _ in range(2 if self.sends_twice else 1):
            headers = {"Content-Type": "application/json", **signature(body)}
            answer = await self.http.post(call.hook, content=body, headers=headers)
            call.tell("webhook", event=event, status=answer.status_code)

    async def _refusal(self, request: Request) -> Response | None:
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Response):
                return fault
            await asyncio.sleep(fault)
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return problem(401, "10009", "Authentication failed")
        return None

    async def _create(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        wish = await request.json()
        if wish.get("connection_id") != APPLICATION:
            return problem(422, "10015", "Invalid value for connection_id")
        assert 5 <= wish["timeout_secs"] <= 600
        call = Call(self, "outbound", wish["from"], wish["to"], self.person, wish["webhook_url"],
                    wish=wish, state=wish.get("client_state"))  # fmt: skip
        self.placed.append(call)
        self.begin(call)
        return JSONResponse({"data": {"call_control_id": call.id, "record_type": "call"}})

    async def _act(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        call = self.calls.get(request.path_params["id"])
        if call is None or call.over.is_set():
            return problem(422, "90018", "Call has already ended")
        await call.obey(request.path_params["action"], await request.json())
        return JSONResponse({"data": {"result": "ok"}})

    async def _look(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        if request.path_params["id"] != APPLICATION:
            return problem(404, "10005", "Resource not found")
        return JSONResponse({"data": {"id": APPLICATION, **self.application}})

    async def _numbers(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        asked = request.query_params["filter[phone_number]"]
        rows = [
            {"phone_number": number, "connection_id": id}
            for number, id in self.numbers.items()
            if number == asked
        ]
        return JSONResponse({"data": rows})


def problem(status: int, code: str, title: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "title": title, "detail": title}]}, status)


@asynccontextmanager
async def running() -> AsyncGenerator[Telnyx]:
    """On a port of loopback, on this event loop."""
    listening = socket.create_server(("127.0.0.1", 0))
    async with httpx.AsyncClient(timeout=20) as http:
        board = Telnyx(http)
        board.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v2"
        config = uvicorn.Config(
            Starlette(routes=board.routes()),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield board
        finally:
            await board.aclose()
            server.should_exit = True
            await serving
