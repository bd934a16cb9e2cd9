"""jambonz 0.9 as its documents and its media server's source describe it.

It knows nothing of Chorus: its signatures, verbs and streams are its own reading of the protocol,
so that the two sides check each other. What it holds true to, besides the documents:

- the REST API's refusals: 422 for the wrong `call_status`, 404 for a call that is gone, and what a
  call without an application has to bring (jambonz-api-server, accounts.js);
- one media buffer with its thresholds of 160 and 80 ms, in which a mark is a sample of the value
  -1 (freeswitch-modules, mod_audio_fork);
- webhooks in snake_case, `customerData` excepted, signed over the body (base-requestor.js).

By hand: `python -m tests.lines.jambonz.standin --hook http://127.0.0.1:8000/jambonz/call \
--to +15550001000` rings that number, plays a tone, and prints what happens.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import socket
import time
import uuid
from array import array
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.lines.jambonz.standin_stream import Stream
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

ACCOUNT = "9351f46a-678c-43f5-b8a6-d4eb58d131af"
API_KEY = "38700987-c7a4-4685-a5bb-af378f9734de"
SECRET = "wh_secret_cJqgtMDPzDhhnjmaJH6Mtk"
APPLICATION = "0e0681b0-d49f-4fb8-b973-b5a3c6758de1"


@dataclass
class Person:
    """Who is at the far end of the calls that come next."""

    answer: int = 200
    """The SIP status, or 0: lets it ring until somebody gives up."""
    ring_s: float = 0.05
    amd: tuple[str, ...] = ()
    connects: bool = True
    """Whether the media server reaches the websocket."""


@dataclass
class Call:
    """A call, from the first ring to the last status."""

    board: Jambonz
    direction: str
    from_: str
    to: str
    hook: str
    status_hook: str
    person: Person
    wish: dict[str, Any] = field(default_factory=dict[str, Any])
    sip: dict[str, Any] | None = None
    sid: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "trying"
    stream: Stream | None = None
    answered_s: float | None = None
    pressed: str = ""
    """Keys, by the API."""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list[Any])
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _verbs: list[dict[str, Any]] = field(default_factory=list[Any])
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _by: str = "jambonz"
    _final: tuple[str, int] | None = None

    def tell(self, kind: str, **facts: Any) -> None:
        self.events.append((kind, facts))
        self.board.printed(self, kind, facts)

        async def wake() -> None:
            async with self.news:
                self.news.notify_all()

        self.board.spawn(wake())

    async def wait(self, kind: str, timeout_s: float = 5, **facts: Any) -> dict[str, Any]:
        """The first event of this kind with these facts."""

        def found() -> dict[str, Any] | None:
            for name, told in self.events:
                if name == kind and all(told.get(key) == value for key, value in facts.items()):
                    return told
            return None

        async with asyncio.timeout(timeout_s), self.news:
            await self.news.wait_for(lambda: found() is not None)
        told = found()
        assert told is not None
        return told

    async def run(self) -> None:
        try:
            await (self._outbound() if self.direction == "outbound" else self._inbound())
        finally:
            self.board.calls.pop(self.sid, None)
            self.tell("over", status=self.status)

    async def _outbound(self) -> None:
        await self._is("trying", 100)
        await self._is("ringing", 180)
        limit_s = min(self.wish.get("timeout", 60), 60 if not self.person.answer else 3600)
        try:
            async with asyncio.timeout(self.person.ring_s if self.person.answer else limit_s):
                await self._over.wait()
        except TimeoutError:
            pass
        if self._final is not None or self.person.answer != 200:
            sip = self._final[1] if self._final else self.person.answer or 487
            status = {486: "busy", 603: "busy", 487: "no-answer"}.get(sip, "failed")
            await self._is(status, sip)
            return
        await self._answer()
        if self.wish.get("amd"):
            self.board.spawn(self._detect())
        await self._application(await self._post(self.hook, self._facts()))

    async def _inbound(self) -> None:
        facts = self._facts() | ({"sip": self.sip} if self.sip else {})
        await self._application(await self._post(self.hook, facts))

    async def _application(self, verbs: Any) -> None:
        if not isinstance(verbs, list) or not verbs:
            await self._is("failed" if self.answered_s is None else "completed", 603)
            return
        self._verbs = list(verbs)
        while self._verbs and not self._over.is_set():
            verb = self._verbs.pop(0)
            self.tell("verb", **verb)
            match verb["verb"]:
                case "sip:decline":
                    await self._is("failed", verb["status"])
                    return
                case "listen":
                    await self._answer()
                    await self._listen(verb)
                case "dial":
                    await self._dial(verb)
                case "hangup":
                    break
                case other:
                    raise AssertionError(f"jambonz knows no verb {other}")
        if self.answered_s is None:
            await self._is("no-answer", 487)
            return
        lasted = round(time.monotonic() - self.answered_s)
        await self._is("completed", 200, duration=lasted, call_termination_by=self._by)

    async def _dial(self, verb: dict[str, Any]) -> None:
        """Somebody else is called, for as long as `timeout` says, and the two talk until one hangs
        up. What the `actionHook` answers is done next, if it answers anything."""
        callee, leg_sid, limit_s = self.board.callee, str(uuid.uuid4()), verb.get("timeout", 60)
        rings_s = callee.ring_s if callee.answer else limit_s
        leg = {"call_sid": leg_sid, "parent_call_sid": self.sid, "direction": "outbound"}
        leg |= {"from": verb["callerId"], "to": "them"}
        try:
            async with asyncio.timeout(min(rings_s, limit_s)):
                await self._over.wait()
                return
        except TimeoutError:
            pass
        if callee.answer == 200 and rings_s <= limit_s:
            status, sip = "completed", 200
            told = {"call_status": "in-progress", "sip_status": 200}
            await self._post(self.status_hook, self._facts() | leg | told)
            await self._over.wait()
        elif rings_s > limit_s or not callee.answer:
            status, sip = "no-answer", 487
        else:
            status, sip = ("busy" if callee.answer == 486 else "failed"), callee.answer
        result = {"dial_call_status": status, "dial_sip_status": sip, "dial_call_sid": leg_sid}
        verbs = await self._post(verb["actionHook"], self._facts() | result)
        if isinstance(verbs, list) and verbs:
            self._verbs = list(verbs)

    async def _answer(self) -> None:
        if self.answered_s is None:
            self.answered_s = time.monotonic()
            await self._is("in-progress", 200)

    async def _listen(self, verb: dict[str, Any]) -> None:
        both = verb["bidirectionalAudio"]
        assert both["streaming"], "the caller would hear nothing"
        assert both["sampleRate"] == verb["sampleRate"]
        if not self.person.connects:
            self.tell("unreachable")
            return
        try:
            ws = await connect(
                verb["url"],
                subprotocols=[Subprotocol("audio.jambonz.org")],
                compression=None,
                max_size=None,
            )
        except (OSError, InvalidStatus) as error:
            self.tell("unreachable", error=str(error))
            return
        facts = {"sampleRate": verb["sampleRate"], "mixType": verb["mixType"]}
        facts |= {"callSid": self.sid, "direction": self.direction, "from": self.from_}
        await ws.send(json.dumps(facts | self.board.start))
        self.stream = Stream(ws, verb["sampleRate"], self.tell)
        self.tell("listening", subprotocol=ws.subprotocol)
        running = asyncio.create_task(self.stream.run())
        over = asyncio.create_task(self._over.wait())
        await asyncio.wait((running, over), return_when=asyncio.FIRST_COMPLETED)
        self.stream.over = True
        over.cancel()
        await running
        self.tell("listened", code=ws.close_code)
        if not self._over.is_set():
            await self._post(verb["actionHook"], self._facts())

    async def _detect(self) -> None:
        for kind in self.person.amd:
            await self._post(self.wish["amd"]["actionHook"], {"type": kind, **self._facts()})

    # What others do to it.

    def hang_up(self, by: str = "caller") -> None:
        self._by = by
        if self.stream is not None:
            self.stream.over = True
        self._over.set()

    def give_up(self) -> None:
        self._final = ("no-answer", 487)
        self._over.set()

    async def redirect(self, hook: str) -> None:
        """Live call control with a `call_hook`: 202 went out already."""
        verbs = await self._post(hook, self._facts())
        if isinstance(verbs, list) and verbs:
            self._verbs = list(verbs)
            if self.stream is not None:
                self.stream.over = True

    # To the application.

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "call_sid": self.sid,
            "direction": self.direction,
            "from": self.from_,
            "to": self.to,
            "call_id": f"{self.sid}@sip",
            "sip_status": 200 if self.answered_s is not None else 100,
            "call_status": self.status,
            "account_sid": ACCOUNT,
            "trace_id": "f" * 32,
        }
        if self.wish.get("tag"):
            facts["customerData"] = self.wish["tag"]
        return facts

    async def _is(self, status: str, sip_status: int, **more: Any) -> None:
        self.status = status
        self.tell("status", status=status, sip=sip_status)
        reason = {200: "OK", 486: "Busy Here", 603: "Decline"}.get(sip_status, "")
        facts = {"call_status": status, "sip_status": sip_status, "sip_reason": reason, **more}
        await self._post(self.status_hook, self._facts() | facts)

    async def _post(self, url: str, payload: dict[str, Any]) -> Any:
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **signature(body, self.board.secret)}
        answer = await self.board.http.post(url, content=body, headers=headers)
        self.tell("webhook", url=url, status=answer.status_code)
        if answer.status_code not in (200, 202, 204):
            return None
        is_json = "application/json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else ""


def signature(body: bytes, secret: str, at_s: int | None = None) -> dict[str, str]:
    stamp = str(int(time.time()) if at_s is None else at_s)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Jambonz-Signature": f"t={stamp},v1={digest}"}


class Jambonz:
    """The account, its API, and its calls."""

    def __init__(self, http: httpx.AsyncClient, *, prints: bool = False) -> None:
        self.http = http
        self.secret = SECRET
        self.person = Person()
        self.callee = Person()
        """Whom a `dial` calls."""
        self.start: dict[str, Any] = {}
        """Laid over what a stream begins with."""
        self.calls: dict[str, Call] = {}
        self.placed: list[Call] = []
        self.asked: list[dict[str, Any]] = []
        self.faults: list[Response | float] = []
        """What the API answers next instead, or how long it sleeps."""
        self.application: dict[str, str] = {}
        self.presses = True
        self.url = ""
        self._prints = prints
        self._tasks: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        base = "/v1/Accounts/{account}"
        return [
            Route(base + "/Calls", self._create, methods=["POST"]),
            Route(base + "/Calls/{sid}", self._update, methods=["PUT", "POST"]),
            Route(base + "/WebhookSecret", self._webhook_secret, methods=["GET"]),
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

    def printed(self, call: Call, kind: str, facts: dict[str, Any]) -> None:
        if self._prints:
            print(call.sid[:8], kind, json.dumps(facts, default=str), flush=True)

    def ring(self, hook: str, status_hook: str, to: str, from_: str, sip: Any = None) -> Call:
        """Somebody calls `to`."""
        call = Call(self, "inbound", from_, to, hook, status_hook, self.person, sip=sip)
        self._begin(call)
        return call

    def _begin(self, call: Call) -> None:
        self.calls[call.sid] = call
        self.spawn(call.run())

    async def _refusal(self, request: Request) -> Response | None:
        self.asked.append(
            {
                "method": request.method,
                "path": request.url.path,
                "body": json.loads(await request.body() or b"null"),
            }
        )
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Response):
                return fault
            await asyncio.sleep(fault)
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return JSONResponse({"msg": "invalid token"}, 401)
        if request.path_params["account"] != ACCOUNT:
            return JSONResponse({"msg": "insufficient permissions"}, 403)
        return None

    async def _create(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        wish = self.asked[-1]["body"]
        speech = {f"speech_synthesis_{n}" for n in ("vendor", "language", "voice")}
        speech |= {f"speech_recognizer_{n}" for n in ("vendor", "language")}
        if not wish.get("from"):
            return JSONResponse({"msg": "missing from parameter"}, 400)
        if "application_sid" in wish:
            if wish["application_sid"] != APPLICATION:
                return JSONResponse({"msg": "application_sid not found"}, 400)
            hooks = self.application["call_hook"], self.application["call_status_hook"]
        elif not speech <= wish.keys():
            return JSONResponse({"msg": "either application_sid or set of speech"}, 400)
        else:
            hooks = wish["call_hook"]["url"], wish["call_status_hook"]["url"]
        to = wish["to"].get("number") or wish["to"]["sipUri"]
        call = Call(self, "outbound", wish["from"], to, *hooks, self.person, wish=wish)
        self.placed.append(call)
        self._begin(call)
        return JSONResponse({"sid": call.sid, "callId": f"{call.sid}@sip"}, 201)

    async def _update(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        change = self.asked[-1]["body"]
        call = self.calls.get(request.path_params["sid"])
        if call is None:
            return PlainTextResponse("Not Found", 404)
        status = change.get("call_status")
        wrong = {"msg": "current call state is incompatible with requested action"}
        if status == "completed":
            if call.answered_s is None:
                return JSONResponse(wrong, 422)
            call.hang_up("jambonz")
        elif status == "no-answer":
            if call.answered_s is not None:
                return JSONResponse(wrong, 422)
            call.give_up()
        elif "dtmf" in change and self.presses:
            key = change["dtmf"]["digit"]
            if len(key) != 1 or key not in "0123456789*#ABCD":
                return JSONResponse({"msg": f"invalid dtmf digit {key!r}"}, 400)
            call.pressed += key
        elif "call_hook" in change:
            self.spawn(call.redirect(change["call_hook"]["url"]))
        else:
            return JSONResponse({"msg": "no valid options supplied to updateCall"}, 400)
        return PlainTextResponse("Accepted", 202)

    async def _webhook_secret(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        return JSONResponse({"webhook_secret": self.secret})


@asynccontextmanager
async def running(*, prints: bool = False, port: int = 0) -> AsyncGenerator[Jambonz]:
    """On a port of loopback, on this event loop."""
    listening = socket.create_server(("127.0.0.1", port))
    async with httpx.AsyncClient(timeout=20) as http:
        board = Jambonz(http, prints=prints)
        board.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
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


async def _by_hand(hook: str, to: str, seconds: float, port: int) -> None:
    async with running(prints=True, port=port) as board:
        print(f"API at {board.url}, account {ACCOUNT}, key {API_KEY}, webhook secret {SECRET}")
        call = board.ring(hook, hook.replace("/call", "/status"), to, "+15559990000")
        await call.wait("listening", 30)
        assert call.stream is not None
        call.stream.mic += array("h", ([8000] * 10 + [-8000] * 10) * 400).tobytes()
        await asyncio.sleep(seconds)
        call.hang_up()
        await call.wait("over", 30)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hook", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--port", type=int, default=3000)
    given = parser.parse_args()
    asyncio.run(_by_hand(given.hook, given.to, given.seconds, given.port))
