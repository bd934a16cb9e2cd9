"""The SIP line alone, for `bench.sip`: it takes every call, plays sound and listens, and no model
hears or speaks. Prints `{"port": …}` when it is ready, then one line of figures for each line that
it reads; ends with its input.

listening_s   sound that came in, over all calls so far, in seconds
ticks_p99_ms  how late the clock was that sends the packets
now, dialogs, transactions, tasks   of calls, of the user agent, of the event loop
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import uvloop

from chorus.lines.desk import (
    Admitted,
    Connection,
    InboundCall,
    MachineResult,
    Progress,
    RegistrationState,
)
from chorus.lines.line import Line, LineEnded, LineMove
from chorus.lines.sip.agent import SipAgent
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.transport import Listen

NUMBER = "+493012345"
RTP_PORTS = (30000, 31999)
PIECE = bytes(range(256)) * 25  # 0.8 s of a sawtooth, in µ-law's codes
AHEAD_MS = 400.0


class Talker:
    """Plays without end: another piece whenever little is left. Implements `LineEvents`."""

    def __init__(self, desk: Desk, line: Line) -> None:
        self._desk = desk
        self._line = line
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        self._desk.heard_bytes += len(chunk)
        if self._line.ahead_ms < AHEAD_MS:
            self._line.play(PIECE)

    def line_digit(self, digit: str) -> None:
        """Nobody presses."""

    def line_moved(self, move: LineMove) -> None:
        """Nobody holds."""

    def line_ended(self, ended: LineEnded) -> None:
        self.over.set_result(None)


class Desk:
    """Takes everything. `most` is how many calls there were at once."""

    def __init__(self) -> None:
        settings = {"sipMode": "ip_allowlist", "sipIp": "127.0.0.1", "sipPort": 5060}
        self._connection = Connection("bench", NUMBER, settings)
        self.heard_bytes = 0
        self.calls = self.now = self.most = 0

    async def answer(self, inbound: InboundCall) -> Admitted:
        self.calls += 1
        return Admitted(inbound.leg_id, "token")

    async def claim(self, call_id: str, token: str) -> bool:
        return True

    async def way_to(self, call_id: str) -> None:
        """There is one process."""

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return None

    async def converse(self, line: Line, call_id: str) -> None:
        talker = Talker(self, line)
        self.now += 1
        self.most = max(self.most, self.now)
        line.play(PIECE)
        line.start(talker)
        try:
            await talker.over
        finally:
            self.now -= 1

    async def connections(self) -> Sequence[Connection]:
        return (self._connection,)

    async def connections_of_number(self, number: str) -> Sequence[Connection]:
        return ()

    async def transferred(self, call_id: str, leg_id: str) -> None:
        raise AssertionError("only carriers with webhooks tell of it")

    async def returns(self, call_id: str, leg_id: str) -> str | None:
        raise AssertionError("only carriers with webhooks ask for it")

    async def connection_of_call(self, call_id: str) -> Connection | None:
        return None

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        return None

    async def progress(self, progress: Progress) -> None:
        """Every call is answered."""

    async def machine(self, result: MachineResult) -> None:
        """Nobody asks."""

    async def quality(self, call_id: str, quality: Mapping[str, Any]) -> None:
        """The callers measure for themselves."""

    async def registered(self, phone_number_id: str, state: RegistrationState) -> None:
        """Known by its address."""


async def main() -> None:
    desk = Desk()
    listens = (Listen("udp", "127.0.0.1", 0),)
    agent = SipAgent(SipConfig(listens, rtp_ports=RTP_PORTS, codecs=("PCMU",)), desk)
    await agent.start()
    await asyncio.sleep(0.2)  # the numbers are read
    gc.freeze()  # as `chorus serve` does
    print(json.dumps({"port": agent.ports["udp"]}), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        figures = {
            "taken": desk.calls,
            "most_calls": desk.most,
            "listening_s": round(desk.heard_bytes / 8000, 2),
            "ticks_p99_ms": agent.lag.p99_ms,
            "now": desk.now,
            "dialogs": agent.user_agent.dialogs,
            "transactions": len(agent.user_agent.transactions),
            "tasks": len(asyncio.all_tasks()),
        }
        print(json.dumps(figures), flush=True)
    await agent.aclose()


if __name__ == "__main__":
    uvloop.run(main())
