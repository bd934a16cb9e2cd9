"""Two user agents and a network between them, on a clock that is turned by hand."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chorus.lines.line import LineEnded
from chorus.lines.sip.framing import PING
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.incoming import IncomingCall
from chorus.lines.sip.message import Message, Request, Response, parse_message
from chorus.lines.sip.negotiate import Agreed, Negotiation
from chorus.lines.sip.outgoing import Invitation, OutgoingCall
from chorus.lines.sip.session import Session
from chorus.lines.sip.uri import Address, Uri
from chorus.lines.sip.user_agent import UserAgent
from chorus.lines.sip.wire import Hop


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Time:
    """A `Timers` whose time passes by `advance`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._heap: list[tuple[float, int, _Timer, Callable[..., Any], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> _Timer:
        timer = _Timer()
        due = (self.now + delay, next(self._order), timer, callback, args)
        heapq.heappush(self._heap, due)
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            due, _, timer, callback, args = heapq.heappop(self._heap)
            self.now = due
            if not timer.cancelled:
                callback(*args)
        self.now = end

    @property
    def pending(self) -> int:
        return sum(not timer.cancelled for _, _, timer, _, _ in self._heap)


class Net:
    """Delivers after `latency_s` what `passes` lets through, and keeps all of it in `log`."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.latency_s = 0.01
        self.places: dict[tuple[str, int], UserAgent[str]] = {}
        self.log: list[tuple[str, Message]] = []
        self.pings: list[tuple[float, str]] = []
        self.passes: Callable[[Message], bool] = lambda message: True

    def wire(self, ip: str, port: int = 5060, transport: str = "udp") -> _Wire:
        return _Wire(self, Hop(transport, ip, port))  # type: ignore[arg-type]

    def said(self, ip: str) -> list[str]:
        """`INVITE`, `200 INVITE`…, in order, of one place."""
        return [_brief(message) for source, message in self.log if source == ip]


@dataclass
class _Wire:
    net: Net
    own: Hop

    def send(self, hop: Hop, data: bytes) -> None:
        if data == PING:
            self.net.pings.append((self.net.time.now, self.own.ip))
            return
        try:
            message = parse_message(data)
        except Malformed:
            return  # the answer to what is broken repeats what is broken
        self.net.log.append((self.own.ip, message))
        if self.net.passes(message):
            self.net.time.call_later(self.net.latency_s, self._deliver, hop, data)

    def local(self, hop: Hop) -> tuple[str, int]:
        return self.own.ip, self.own.port

    def _deliver(self, hop: Hop, data: bytes) -> None:
        other = self.net.places.get((hop.ip, hop.port))
        if other is not None:
            source = Hop(hop.transport, self.own.ip, self.own.port, 7 if hop.reliable else 0)
            other.receive(data, source)


def _brief(message: Message) -> str:
    if isinstance(message, Response):
        return f"{message.status} {message.cseq[1]}"
    assert isinstance(message, Request)
    return message.method


@dataclass
class Heard:
    """Events of one call, in order."""

    log: list[str] = field(default_factory=list)
    agreed: Agreed | None = None
    session: Session | None = None
    end: LineEnded | None = None

    def ringing(self, status: int) -> None:
        self.log.append(f"ringing {status}")

    def media(self, agreed: Agreed) -> None:
        self.agreed = agreed
        self.log.append(f"media {agreed.codec.name} {agreed.direction}")

    def answered(self, session: Session) -> None:
        self.session = session
        self.log.append("answered")

    def digit(self, digit: str) -> None:
        self.log.append(f"digit {digit}")

    def ended(self, ended: LineEnded) -> None:
        assert self.end is None, "ended twice"
        self.end = ended
        self.log.append(f"ended {ended.cause}")


class Phone:
    """One user agent. Calls that come in are kept in `calls`, and answered at once if `answers`."""

    def __init__(self, net: Net, ip: str, transport: str = "udp", port: int = 5060) -> None:
        self.net = net
        self.ip = ip
        self.transport = transport
        self.port = port
        self.answers = True
        self.trusted = True
        self.talks_to_strangers = True
        self.calls: list[IncomingCall] = []
        self.heard: list[Heard] = []
        self.codecs = ("PCMU", "PCMA", "G722")
        wire = net.wire(ip, port, transport)
        self.agent: UserAgent[str] = UserAgent(wire, net.time, self._resolve, self, self, "Test")
        net.places[(ip, port)] = self.agent

    def _resolve(self, uri: Uri, then: Callable[[list[Hop]], None]) -> None:
        then([Hop(uri.transport or "udp", uri.host, uri.port or 5060)])  # type: ignore[arg-type]

    # The gate.

    def admit(self, request: Request, hop: Hop) -> str | None:
        return "trunk" if self.trusted else None

    def may_answer(self, hop: Hop) -> bool:
        return self.talks_to_strangers

    # The calls.

    def incoming(self, call: IncomingCall, trunk: str) -> None:
        self.calls.append(call)
        heard = Heard()
        self.heard.append(heard)
        call.on_withdrawn = heard.ended
        call.ring()
        if self.answers:
            self.accept()

    def accept(self, at: int = -1) -> None:
        heard = self.heard[at]
        taken = self.calls[at].accept(self.negotiation(), heard)
        if taken is not None:
            heard.session = taken[0]
            if taken[1] is not None:
                heard.media(taken[1])

    def negotiation(self, **more: Any) -> Negotiation:
        return Negotiation(self.codecs, self.ip, 40000, **more)

    def dial(self, to: Phone | str, heard: Heard | None = None, **more: Any) -> OutgoingCall:
        heard = heard or Heard()
        self.heard.append(heard)
        if isinstance(to, Phone):
            target = Uri.sip("+4930123", to.ip, to.port)
            if to.transport != "udp":
                target = target.with_params(transport=to.transport)
        else:
            target = Uri.sip("+4930123", to)
        call = self.agent.call(
            Invitation(
                target=target,
                from_=Address(Uri.sip("me", self.ip)),
                to=Address(target),
                contact=lambda hop: self.agent.contact(hop, "me"),
                **more,
            ),
            self.negotiation(),
            heard,
        )
        call.start()
        return call


def pair(transport: str = "udp") -> tuple[Net, Phone, Phone]:
    net = Net(Time())
    return net, Phone(net, "192.0.2.1", transport), Phone(net, "192.0.2.2", transport)
