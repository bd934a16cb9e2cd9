"""People with SIP telephones: the same scripts as on a media stream, over SIP and RTP.

One telephone exchange in this process, on one UDP port of loopback, behind which the people are.
It speaks by Chorus's own user agent, since that is what is installed everywhere; other people's
stacks (baresip, sipp, Kamailio) are called by the tests. Its calls have the Call-ID as their `sid`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.handset import Handset
from chorus.demo.carrier.person import Person
from chorus.demo.carrier.script import Actor
from chorus.demo.carrier.sound import FRAME, SILENCE, audible
from chorus.lines.desk import (
    Admitted,
    Connection,
    InboundCall,
    MachineResult,
    Progress,
    Refused,
    RegistrationState,
    Relayed,
    Stage,
)
from chorus.lines.line import Dial, Line, LineEnded, LineMove
from chorus.lines.sip.agent import SipAgent
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.transport import Listen

RTP_PORTS = (23000, 23999)
MOST_WAITING = 5 * FRAME
"""More than this in the telephone's own buffer, and silence in it is skipped: after a stall the
two would otherwise stay apart."""


@dataclass(slots=True)
class SipCall:
    """One call, of which the control API tells what it tells of a `SimulatedCall`."""

    sid: str
    from_: str
    to: str
    direction: str
    person: Person
    status: str = "ringing"
    sip_code: int | None = None
    stream: SipPhone | None = None
    actor: Actor | None = None

    def resource(self) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "from": self.from_,
            "to": self.to,
            "status": self.status,
            "direction": self.direction,
        }


class SipPhone(Handset):
    """A handset on a SIP line. Implements `LineEvents`."""

    def __init__(self, exchange: Exchange, call_sid: str, person: Person, line: Line) -> None:
        super().__init__(exchange, call_sid, person)
        self.stream_sid = call_sid
        self._line = line

    async def run(self) -> str:
        """The whole call; returns why it is over."""
        loop = asyncio.get_running_loop()
        self._begun_s = loop.time()
        self._line.start(self)
        self._tell("stream.started", stream=self.stream_sid)
        self.opened.set()
        try:
            await self._pace()
        finally:
            await self._line.hang_up()
            for _, future in self._waiting:
                future.cancel()
        self._tell("stream.over", why=self.over)
        return self.over or "hung_up"

    async def press(self, digit: str) -> None:
        self._line.send_digits(digit)

    async def send(self, message: str | bytes) -> None:
        raise ValueError("there are no messages on a SIP call")

    async def _carry(self, frame: bytes, now: float) -> None:
        if now >= self._muted_until_s:
            self._line.play(frame)

    async def _played_chunk(self, chunk: bytes, now: float) -> None:
        """Nobody is told."""

    @property
    def quiet_s(self) -> float:
        # Silence comes all the time, so the buffer is never empty.
        return asyncio.get_running_loop().time() - max(self.audible_s, self._begun_s)

    # LineEvents.

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        self.counts["media"] += 1
        if len(self._queue) > MOST_WAITING and not audible(chunk):
            return
        if self._awaiting and self._arrived_s is None and audible(chunk):
            self._arrived_s = asyncio.get_running_loop().time()
        self._queue += chunk

    def line_digit(self, digit: str) -> None:
        self._tell("agent.pressed", digit=digit)

    def line_moved(self, move: LineMove) -> None:
        self._tell("moved", move=str(move))

    def line_ended(self, ended: LineEnded) -> None:
        # What had arrived is heard to its end.
        for at in range(0, len(self._queue), FRAME):
            chunk = bytes(self._queue[at : at + FRAME])
            self.heard += chunk + SILENCE[len(chunk) :]
        self._queue.clear()
        self.end("closed")


class SipTelephones:
    """`number` is the first of the people's; the platform is at `peer_port`. Implements `Desk`."""

    def __init__(self, exchange: Exchange, number: str, port: int, peer_port: int) -> None:
        self._exchange = exchange
        self._settings = {"sipMode": "ip_allowlist", "sipIp": "127.0.0.1", "sipPort": peer_port}
        self._connections = {number: Connection(number, number, self._settings)}
        listens = (Listen("udp", "127.0.0.1", port),)
        self._agent = SipAgent(SipConfig(listens, rtp_ports=RTP_PORTS, codecs=("PCMU",)), self)
        self.calls: dict[str, SipCall] = {}

    async def start(self) -> None:
        """Raises `OSError` where the port cannot be had."""
        await self._agent.start(follow=False)
        self._agent.set_numbers(list(self._connections.values()))

    async def aclose(self) -> None:
        await self._agent.aclose()

    def connect(self, number: str) -> Connection:
        """Somebody has this number from now on."""
        if number not in self._connections:
            self._connections[number] = Connection(number, number, self._settings)
            self._agent.set_numbers(list(self._connections.values()))
        return self._connections[number]

    async def call(self, to: str, own: str, person: Person) -> SipCall:
        """The person dials. Raises `DialFailed`."""
        id = f"dialled-{len(self.calls)}"
        dialled = SipCall("", own, to, "inbound", person)
        self.calls[id] = dialled
        dialled.sid = await self._agent.dial(self.connect(own), Dial(id, to, own), id)
        self.calls[dialled.sid] = dialled
        return dialled

    # The Desk.

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        """Somebody is called: it rings, and is picked up or not."""
        number = inbound.to
        self._exchange.tell("call.dialled", inbound.leg_id, to=number)
        person = self._exchange.person_at(number)
        if person is None:
            return Refused("nobody is at home")
        call = SipCall(inbound.leg_id, inbound.from_, number, "outbound", person)
        self.calls[call.sid] = call
        self._exchange.tell("call.status", call.sid, status="ringing")
        await asyncio.sleep(person.ring_ms / 1000)
        # Nobody tells the desk of the end of what it has refused itself.
        if person.answer == "busy":
            self._over(call, "busy")
            return Refused("busy", "busy")
        if person.answer != "answer":
            self._over(call, "no-answer")
            return Refused("nobody answers")
        return Admitted(call.sid, call.sid)

    async def claim(self, call_id: str, token: str) -> bool:
        return True

    async def way_to(self, call_id: str) -> Relayed | None:
        return None

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        return None

    async def converse(self, line: Line, call_id: str) -> None:
        call = self.calls[call_id]
        call.sid = line.leg_id  # what is called out has it once the INVITE is made
        self.calls[call.sid] = call
        call.status = "in-progress"
        self._exchange.tell("call.status", call.sid, status=call.status)
        phone = SipPhone(self._exchange, call.sid, call.person, line)
        call.stream, call.actor = phone, Actor(self._exchange, call.sid, call.person.steps)
        acting = asyncio.create_task(call.actor.run(phone))
        try:
            await phone.run()
        finally:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
            self._over(call, "completed")

    async def progress(self, progress: Progress) -> None:
        call = self.calls.get(progress.leg_id) or self.calls.get(progress.call_id)
        if call is not None and progress.stage is Stage.ENDED:
            detail = progress.ended.detail if progress.ended else ""
            self._over(call, "failed", detail)

    def _over(self, call: SipCall, status: str, detail: str = "") -> None:
        call.status = status
        self._exchange.tell("call.status", call.sid, status=status)
        self._exchange.tell("call.over", call.sid, status=status, detail=detail)

    async def connections(self) -> Sequence[Connection]:
        return list(self._connections.values())

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

    async def machine(self, result: MachineResult) -> None:
        """Nobody detects machines here."""

    async def quality(self, call_id: str, quality: Mapping[str, Any]) -> None:
        self._exchange.tell("quality", self.calls[call_id].sid, **quality)

    async def registered(self, phone_number_id: str, state: RegistrationState) -> None:
        """They are known by their address."""
