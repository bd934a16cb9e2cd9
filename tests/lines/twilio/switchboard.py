"""A platform small enough to test the line with: a desk, and the routes behind a real server."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI

from chorus.lines.line import Dialler, Line, LineEnded
from chorus.lines.twilio.desk import (
    Admitted,
    InboundCall,
    MachineResult,
    Refused,
    StatusUpdate,
    TwilioAccount,
)
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.rest import TwilioApi
from chorus.lines.twilio.routes import build_routes
from chorus.lines.websocket import DirectProtocol

ACCOUNT = "AC" + "1" * 32
TOKEN = "auth-token-of-the-tests"
OURS = "+15550001000"
THEIRS = "+15559990000"


class Talk:
    """The conversation's end of one line."""

    def __init__(self, line: Line, call_id: str) -> None:
        self.line = line
        self.call_id = call_id
        self.audio: list[tuple[bytes, float]] = []
        self.digits: list[str] = []
        self.ended: list[LineEnded] = []
        self.over = asyncio.Event()
        self.news = asyncio.Event()

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        assert not self.ended, "audio after the end"
        self.audio.append((chunk, at_ms))
        self.news.set()

    def line_digit(self, digit: str) -> None:
        self.digits.append(digit)
        self.news.set()

    def line_ended(self, ended: LineEnded) -> None:
        self.ended.append(ended)
        self.over.set()
        self.news.set()

    @property
    def heard(self) -> bytes:
        return b"".join(chunk for chunk, _ in self.audio)

    async def until(self, true: Callable[[], bool], timeout_s: float = 5) -> None:
        async with asyncio.timeout(timeout_s):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def end(self, timeout_s: float = 5) -> LineEnded:
        async with asyncio.timeout(timeout_s):
            await self.over.wait()
        assert len(self.ended) == 1
        return self.ended[0]


@dataclass
class TestDesk:
    """Implements `Desk` in memory. `behave` is the conversation; by default it listens until
    the line has ended."""

    __test__ = False

    account: TwilioAccount
    refuse: Refused | None = None
    behave: Callable[[Talk], Awaitable[None]] | None = None
    claims: list[tuple[str, str, bool]] = field(default_factory=list)
    inbound: list[InboundCall] = field(default_factory=list)
    updates: list[StatusUpdate] = field(default_factory=list)
    machines: list[MachineResult] = field(default_factory=list)
    talks: asyncio.Queue[Talk] = field(default_factory=asyncio.Queue)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tokens: dict[str, str] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)

    async def account_of_number(self, number: str, account_sid: str) -> TwilioAccount | None:
        return self.account if number == OURS else None

    async def account_of_call(self, call_id: str) -> TwilioAccount | None:
        return self.account if call_id in self.calls else None

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        self.inbound.append(inbound)
        if self.refuse is not None:
            return self.refuse
        call_id = f"call-{inbound.call_sid[-6:]}"
        return Admitted(call_id, await self.issue(call_id))

    async def issue(self, call_id: str) -> str:
        self.calls.add(call_id)
        self._tokens[call_id] = secrets.token_urlsafe(24)
        return self._tokens[call_id]

    async def status(self, update: StatusUpdate) -> None:
        async with self.news:
            self.updates.append(update)
            self.news.notify_all()

    async def machine(self, result: MachineResult) -> None:
        async with self.news:
            self.machines.append(result)
            self.news.notify_all()

    async def claim(self, call_id: str, token: str) -> bool:
        right = hmac.compare_digest(self._tokens.get(call_id, secrets.token_urlsafe(24)), token)
        if right:
            del self._tokens[call_id]
        self.claims.append((call_id, token, right))
        return right

    async def stream(self, line: Line, call_id: str) -> None:
        talk = Talk(line, call_id)
        line.start(talk)
        self.talks.put_nowait(talk)
        if self.behave is not None:
            await self.behave(talk)
        else:
            await talk.over.wait()

    async def talk(self, timeout_s: float = 5) -> Talk:
        async with asyncio.timeout(timeout_s):
            return await self.talks.get()

    async def until(self, true: Callable[[], bool], timeout_s: float = 5) -> None:
        async with asyncio.timeout(timeout_s), self.news:
            await self.news.wait_for(true)

    def statuses(self, call_id: str) -> list[str]:
        return [str(update.status) for update in self.updates if update.call_id == call_id]


@dataclass
class Switchboard:
    desk: TestDesk
    api: TwilioApi
    url: str
    dialler: Dialler

    @property
    def media_url(self) -> str:
        return Links(self.url).media_url


@asynccontextmanager
async def running(api_url: str, timeout_s: float = 5) -> AsyncGenerator[Switchboard]:
    """The routes on a free port of loopback, on this event loop."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    desk = TestDesk(TwilioAccount(ACCOUNT, TOKEN, api_url))
    api = TwilioApi(timeout_s)
    app = FastAPI()
    app.include_router(build_routes(desk, url, api))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws=DirectProtocol,
        ws_max_size=128 * 1024,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield Switchboard(desk, api, url, api.dialler(desk.account, Links(url), desk.issue))
    finally:
        server.should_exit = True
        await serving
        await api.aclose()
