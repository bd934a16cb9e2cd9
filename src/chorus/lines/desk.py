"""What a carrier asks of the rest of Chorus, and what it tells it, in no carrier's own words.

A carrier (`lines/<carrier>/`) knows its protocol and nothing else. Whose number it is, whether the
agent may take the call, and what becomes of it is behind the `Desk`, which `calls/` implements
once for all carriers. In the order of a call's life:

1. `connections_of_number` or `connection_of_call`: whose credentials a request must match;
2. `answer` for a call that comes in; a call that goes out is placed with the carrier's `Dialler`;
3. `progress`: it rings, it was answered, it is over; `machine`: what answered it;
4. `claim`, then `converse`: its audio is here, and the conversation is held on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from starlette.types import Receive, Scope, Send

from chorus.lines.line import Line, LineEnded


class Relayed(Protocol):
    """Passes a websocket on to the process that holds its call, until either side closes it."""

    async def __call__(
        self,
        first: Sequence[str | bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        accepted: bool,
    ) -> None:
        """`first` are the messages that were read of it already; `accepted`: the handshake was
        answered. Raises nothing."""
        ...


class NotHere(Exception):
    """Another process holds the call; the token is still good. `relayed` is the way there, None if
    there is none from here."""

    def __init__(self, relayed: Relayed | None = None) -> None:
        super().__init__("another process holds the call")
        self.relayed = relayed


@dataclass(frozen=True, slots=True)
class Connection:
    """One phone number's settings at its carrier, secrets included, by the API's names."""

    phone_number_id: str
    number: str
    settings: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class InboundCall:
    """Somebody rings. `leg_id` is the carrier's own id of the call, `to` our number in E.164;
    `phone_number_id` is that of the `Connection` that the request proved to be for. `from_` is
    empty or a word such as `anonymous` when it is withheld. `variables` become the call's context
    variables. `forward_token` is what the carrier wants to see when a call of ours is to show the
    number of this caller (`CarrierKind.shows_caller`); empty where it brought none."""

    leg_id: str
    from_: str
    to: str
    phone_number_id: str
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    forward_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Take the call. Its audio has to show `call_id` and `token` (see `Desk.claim`), which a
    carrier whose audio comes another way than the call itself sends along."""

    call_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Do not take it: the caller hears "busy" or that the number is not in service. Neither is
    billed as an answered call. `reason` is for the log."""

    reason: str
    how: Literal["busy", "rejected"] = "rejected"


@dataclass(frozen=True, slots=True)
class RegistrationState:
    """How a number stands that registers at its carrier. `since` is when it came to be so."""

    state: Literal["registering", "registered", "failed", "stopped"]
    since: datetime
    last_error: str | None = None
    expires_at: datetime | None = None


class Stage(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Progress:
    """How a leg fares, as its carrier says. May come late, twice and out of order. `ended` goes
    with `ENDED`. `answered`: the carrier says that somebody picked up, whether or not the audio
    ever reached Chorus; `answered_s` is for how long, where the carrier says that too."""

    leg_id: str
    call_id: str
    stage: Stage
    ended: LineEnded | None = None
    answered: bool = False
    answered_s: int | None = None


Detected = Literal["person", "machine", "fax"]


@dataclass(frozen=True, slots=True)
class MachineResult:
    """What answering-machine detection found: `found`, None where it is not sure. `heard` is the
    carrier's own word, for the timeline. `message_ended`: the greeting of the mailbox is over, so a
    message can be left."""

    leg_id: str
    call_id: str
    heard: str
    found: Detected | None
    message_ended: bool = False


class Desk(Protocol):
    """Implemented by `calls/`, once for each carrier. Whatever it raises is a failure of this
    server's, and the carrier is told so in its own way (a 500, a SIP 500)."""

    async def connections_of_number(self, number: str) -> Sequence[Connection]:
        """All that name this number, whoever did so first being first. Any organization may say
        that a number is its own: a request is for the one whose credentials it matches, and for
        nobody without any."""
        ...

    async def connection_of_call(self, call_id: str) -> Connection | None:
        """The same for a call that exists; also used to hang it up. `call_id` may be anything."""
        ...

    async def connections(self) -> Sequence[Connection]:
        """Those of all this carrier's numbers, for one that registers them."""
        ...

    async def call_of_leg(self, leg_id: str, phone_number_id: str | None = None) -> str | None:
        """The id of the newest call that the carrier knows by this id, of one phone number or,
        where anybody may speak of any call, of all."""
        ...

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        """Decide within 10 s. The carrier may ask again for the same `leg_id` when it lost
        our answer: that must not make a second call."""
        ...

    async def progress(self, progress: Progress) -> None: ...

    async def transferred(self, call_id: str, leg_id: str) -> None:
        """Somebody else has the far end, by news of the carrier's beside the line's own."""
        ...

    async def returns(self, call_id: str, leg_id: str) -> str | None:
        """The leg comes back from a transfer that came to nothing: the token that its new stream
        has to show, once (`claim`). None if nobody talks on the call any more."""
        ...

    async def quality(self, call_id: str, quality: Mapping[str, Any]) -> None:
        """How the sound of a call arrived, for its record; after `converse` has returned."""
        ...

    async def registered(self, phone_number_id: str, state: RegistrationState) -> None:
        """For whoever looks at the number."""
        ...

    async def machine(self, result: MachineResult) -> None:
        """May come before the call's audio does, and more than once: when a machine is heard, and
        when its greeting is over."""
        ...

    async def claim(self, call_id: str, token: str) -> bool:
        """Whether `token` belongs to the call. Compared in constant time; true once only. Both
        come from somebody unknown until this returned true. Raises `NotHere` where the audio has
        to reach another process."""
        ...

    async def way_to(self, call_id: str) -> Relayed | None:
        """To the process that holds this call, for a socket that goes on with it; None if that is
        this one, or there is no way, or no such call. `call_id` may be anything."""
        ...

    def proved_s_ago(self, call_id: str, origin: str | None, proof: str) -> float | None:
        """How long ago we made `proof`, for this call and pages of `origin` (lower case; None: of
        those that may connect to any call); None if we did not. All three may be anything."""
        ...

    async def converse(self, line: Line, call_id: str) -> None:
        """Hold the conversation; return when it is over. The line is hung up afterwards."""
        ...
