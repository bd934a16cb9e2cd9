"""What the state machines need of the world: somewhere to send, the time, and timers.

`asyncio`'s event loop is a `Timers` as it stands; tests have one whose time they turn by hand.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from chorus.lines.sip.grammar import in_brackets

Transport = Literal["udp", "tcp", "tls"]

T1_S = 0.5
"""Round trip that timers start from (RFC 3261 §17.1.1.1)."""
T2_S = 4.0
T4_S = 5.0
GIVE_UP_S = 64 * T1_S


@dataclass(frozen=True, slots=True)
class Hop:
    """One place a message goes to or came from. `connection` is the open connection over which it
    came (0: none, or UDP); `name` is the host name that the address was found by, which a TLS
    certificate must be made out to."""

    transport: Transport
    ip: str
    port: int
    connection: int = field(default=0, compare=False)
    name: str = field(default="", compare=False)

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport}:{in_brackets(self.ip)}:{self.port}"


class Timer(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


class Wire(Protocol):
    """Sends. What cannot be sent is told later, by `Transactions.unreachable`."""

    def send(self, hop: Hop, data: bytes) -> None: ...

    def local(self, hop: Hop) -> tuple[str, int]:
        """Our own address and port as `hop` sees it: for Via, Contact and SDP."""
        ...


def new_branch() -> str:
    return "z9hG4bK" + secrets.token_hex(10)


def new_tag() -> str:
    return secrets.token_hex(6)


def new_call_id() -> str:
    return secrets.token_hex(16)
