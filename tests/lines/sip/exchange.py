"""A SIP agent with a desk that takes every call, for tests with real peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chorus.audio import codec
from chorus.lines.desk import (
    Admitted,
    Connection,
    InboundCall,
    MachineResult,
    Progress,
    Refused,
    RegistrationState,
    Relayed,
)
from chorus.lines.line import Dial, LineEnded, LineMove
from chorus.lines.sip.agent import SipAgent
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.line import SipLine
from chorus.lines.sip.transport import Listen

NUMBER = "+493012345"


@dataclass
class Talk:
    """What happened on one line."""

    line: SipLine
    heard: bytearray = field(default_factory=bytearray)
    keys: list[str] = field(default_factory=list)
    moves: list[LineMove] = field(default_factory=list[LineMove])
    ended: asyncio.Future[LineEnded] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        self.heard += codec.decode(self.line.format, chunk)

    def line_digit(self, digit: str) -> None:
        self.keys.append(digit)

    def line_moved(self, move: LineMove) -> None:
        self.moves.append(move)

    def line_ended(self, ended: LineEnded) -> None:
        self.ended.set_result(ended)

    def sing(self, hz: float, seconds: float) -> None:
        rate_hz = self.line.format.rate_hz
        at = np.arange(int(seconds * rate_hz)) / rate_hz
        pcm = (9000 * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()
        self.line.play(codec.encode(self.line.format, pcm))


class OpenDesk:
    """Takes what comes (`says` None) or refuses it, and keeps what happened."""

    def __init__(self) -> None:
        self.numbers: list[Connection] = []
        self.says: Refused | None = None
        self.inbound: list[InboundCall] = []
        self.progresses: list[Progress] = []
        self.talks: list[Talk] = []
        self.states: list[RegistrationState] = []
        self.qualities: list[Mapping[str, Any]] = []
        self._changed = asyncio.Event()
        self.on_talk: Callable[[Talk], None] = lambda talk: talk.sing(1000, 30)

    async def connections_of_number(self, number: str) -> Sequence[Connection]:
        return [c for c in self.numbers if c.number == number]

    async def transferred(self, call_id: str, leg_id: str) -> None:
        raise AssertionError("only carriers with webhooks tell of it")

    async def returns(self, call_id: str, leg_id: str) -> str | None:
        raise AssertionError("only carriers with webhooks ask for it")

    async def connection_of_call(self, call_id: str) -> Connection | None:
        return None

    async def connections(self) -> Sequence[Connection]:
        return self.numbers

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        return None

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        self.inbound.append(inbound)
        return self.says or Admitted(f"call-{len(self.inbound)}", "token")

    async def progress(self, progress: Progress) -> None:
        self.progresses.append(progress)
        self._changed.set()

    async def quality(self, call_id: str, quality: Mapping[str, Any]) -> None:
        self.qualities.append(quality)

    async def registered(self, phone_number_id: str, state: RegistrationState) -> None:
        self.states.append(state)

    async def machine(self, result: MachineResult) -> None:
        raise AssertionError("nobody detects machines here")

    async def claim(self, call_id: str, token: str) -> bool:
        return token == "token"

    async def way_to(self, call_id: str) -> Relayed | None:
        return None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return None

    async def converse(self, line: Any, call_id: str) -> None:
        talk = Talk(line)
        self.talks.append(talk)
        line.start(talk)
        self._changed.set()
        self.on_talk(talk)
        await talk.ended

    async def until(self, reached: Callable[[], Any], seconds: float = 20) -> Any:
        async with asyncio.timeout(seconds):
            while not (value := reached()):
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        return value

    async def talk(self, number: int = 1) -> Talk:
        return await self.until(lambda: self.talks[number - 1 :] and self.talks[number - 1])


@dataclass
class Exchange:
    agent: SipAgent
    desk: OpenDesk
    ip: str

    @property
    def port(self) -> int:
        return self.agent.ports["udp"]

    def number(self, settings: dict[str, Any], number: str = NUMBER) -> Connection:
        connection = Connection(f"id-{number}", number, settings)
        self.desk.numbers = [
            *(c for c in self.desk.numbers if c.number != number),
            connection,
        ]
        self.agent.set_numbers(self.desk.numbers)
        return connection

    def trust(self, port: int = 5060, transport: str = "udp", number: str = NUMBER) -> Connection:
        return self.number(
            {"sipMode": "ip_allowlist", "sipIp": self.ip, "sipPort": port,
             "sipProtocol": transport},
            number,
        )  # fmt: skip

    async def dial(self, connection: Connection, to: str = "+4940999", **more: Any) -> str:
        dial = Dial("out-1", to, connection.number, **more)
        return await self.agent.dial(connection, dial, "token")


@asynccontextmanager
async def exchange(**more: Any) -> AsyncGenerator[Exchange, None]:
    """An agent on free ports of this machine."""
    transports = more.pop("transports", ("udp", "tcp"))
    ip = more.pop("ip", "127.0.0.1")
    listens = tuple(Listen(transport, ip, 0) for transport in transports)
    desk = OpenDesk()
    config = SipConfig(listens, rtp_ports=more.pop("rtp_ports", (21000, 21999)), **more)
    agent = SipAgent(config, desk)
    await agent.start()
    try:
        yield Exchange(agent, desk, ip)
    finally:
        await agent.aclose()


Work = Callable[[Exchange], Awaitable[None]]
