"""jambonz 0.9 as its documents and its media server's source describe it.

It knows nothing of Chorus: its signatures, verbs and streams are its own reading of the protocol,
so that the two sides check each other. What it holds true to, besides the documents:

- the REST API's refusals: 422 for the wrong `call_status`, 404 for a call that is gone, and what a
  call without an application has to bring (jambonz-api-server, accounts.js);
- one media buffer with its thresholds of 160 and 80 ms, in which a mark is a sample of the value
  -1 (freeswitch-modules, mod_audio_fork);
- a `call_hook` is asked for after the API has answered 202, and the call goes on as it was if that
  comes to nothing (call-session.js); a conference ends for all when one leaves who says so
  (conference.js);
- webhooks in snake_case, `customerData` excepted, signed over the body (base-requestor.js).

By hand: `python -m tests.lines.jambonz.standin --hook http://127.0.0.1:8000/jambonz/call \
--to +15550001000` rings that number, plays a tone, and prints what happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from array import array
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.lines.jambonz.standin_call import ACCOUNT, Call, Person, Room

API_KEY = "38700987-c7a4-4685-a5bb-af378f9734de"
SECRET = "wh_secret_cJqgtMDPzDhhnjmaJH6Mtk"
APPLICATION = "0e0681b0-d49f-4fb8-b973-b5a3c6758de1"


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
        self.rooms: dict[str, Room] = {}
        """The conferences, by name."""
        self.placed: list[Call] = []
        self.asked: list[dict[str, Any]] = []
        self.faults: list[Response | float] = []
        """What the API answers next instead, or how long it sleeps."""
        self.application: dict[str, str] = {}
        self.presses = True
        self.refuses = ""
        """The SID of a call whose updates are refused, but for its end."""
        self.unsure = False
        """It says of what it does to a call that it has failed."""
        self.unreachable = ""
        """A part of the addresses that it cannot reach when it asks what a call is to do."""
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
        elif call.sid == self.refuses:
            return JSONResponse({"msg": "call session is gone"}, 422)
        elif "call_hook" in change:
            self.spawn(call.redirect(change["call_hook"]["url"]))
        else:
            return JSONResponse({"msg": "no valid options supplied to updateCall"}, 400)
        if self.unsure:
            return JSONResponse({"msg": "no feature server"}, 503)
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
