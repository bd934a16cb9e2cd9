"""A platform small enough to test the line with: a desk, and the routes behind a real server."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.lines.served import free_port, served

from chorus.lines.desk import (
    Admitted,
    Connection,
    InboundCall,
    MachineResult,
    Progress,
    Refused,
    Relayed,
)
from chorus.lines.line import AbsentLine, Dial, Line, LineEnded, LineMove
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.carrier import TwilioCarrier
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.rest import TwilioApi

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
        self.moves: list[LineMove] = []
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

    def line_moved(self, move: LineMove) -> None:
        self.moves.append(move)
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
    updates: list[Progress] = field(default_factory=list)
    machines: list[MachineResult] = field(default_factory=list)
    talks: asyncio.Queue[Talk] = field(default_factory=asyncio.Queue)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tokens: dict[str, str] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    lines: dict[str, Talk] = field(default_factory=dict[str, "Talk"])
    others: list[Connection] = field(default_factory=list[Connection])
    """Of organizations that name our number too, and did so first."""

    @property
    def connection(self) -> Connection:
        return connection_of(self.account)

    async def connections_of_number(self, number: str) -> list[Connection]:
        return [*self.others, self.connection] if number == OURS else []

    async def connection_of_call(self, call_id: str) -> Connection | None:
        return self.connection if call_id in self.calls else None

    async def connections(self) -> list[Connection]:
        return [self.connection]

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        talk = self.lines.get(leg_id)
        ours = phone_number_id in (None, self.connection.phone_number_id)
        return talk.call_id if talk and ours else None

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        self.inbound.append(inbound)
        if self.refuse is not None:
            return self.refuse
        call_id = f"call-{inbound.leg_id[-6:]}"
        return Admitted(call_id, await self.issue(call_id))

    async def issue(self, call_id: str) -> str:
        self.calls.add(call_id)
        self._tokens[call_id] = secrets.token_urlsafe(24)
        return self._tokens[call_id]

    async def progress(self, progress: Progress) -> None:
        async with self.news:
            self.updates.append(progress)
            self.news.notify_all()
        if progress.ended is not None and progress.leg_id in self.lines:
            self.lines[progress.leg_id].line.ended_at_carrier(progress.ended)

    async def transferred(self, call_id: str, leg_id: str) -> None:
        line = self.lines[leg_id].line
        if isinstance(line, AbsentLine):
            line.transferred_at_carrier()

    async def returns(self, call_id: str, leg_id: str) -> str | None:
        talk = self.lines.get(leg_id)
        return None if talk is None or talk.ended else await self.issue(call_id)

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

    async def way_to(self, call_id: str) -> Relayed | None:
        return None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return None

    async def converse(self, line: Line, call_id: str) -> None:
        talk = self.lines[line.leg_id] = Talk(line, call_id)
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
        return [str(update.stage) for update in self.updates if update.call_id == call_id]


def connection_of(account: TwilioAccount) -> Connection:
    settings = {"twilioAccountSid": account.account_sid, "twilioAuthToken": account.auth_token}
    return Connection("a number", OURS, settings)


@dataclass
class Switchboard:
    desk: TestDesk
    carrier: TwilioCarrier
    url: str

    @property
    def api(self) -> TwilioApi:
        return self.carrier.api

    async def dial(self, dial: Dial) -> str:
        token = await self.desk.issue(dial.call_id)
        return await self.carrier.dialler(self.desk.connection, token).dial(dial)

    async def cancel(self, leg_id: str) -> None:
        await self.carrier.dialler(self.desk.connection, "").cancel(leg_id)

    async def media_url(self, call_id: str = "call") -> str:
        """Where a stream of this call may connect, once."""
        return Links(self.url).media_url(call_id, await self.desk.issue(call_id))


@asynccontextmanager
async def running(api_url: str, timeout_s: float = 5) -> AsyncGenerator[Switchboard]:
    """The routes on a free port of loopback, on this event loop."""
    listening, url = free_port()
    desk = TestDesk(TwilioAccount(ACCOUNT, TOKEN, api_url))
    carrier = TwilioCarrier(url, api_url, timeout_s)
    async with served(carrier, desk, listening):
        yield Switchboard(desk, carrier, url)
