"""A line: one leg of one telephone call, whatever carries it.

A carrier's code (`lines/<carrier>/`) turns its protocol into this Protocol and nothing
else; the conversation (`talk/`) sees only this file. Calls from the line into the
conversation are plain synchronous callbacks (`LineEvents`): there are fifty audio
frames a second a call, and a task or a queue for each would cost more than the work.

Positions. A line plays what it is given in order. `sent_ms` is how much was handed to it,
`heard_ms` how much of that the far end has heard, both in milliseconds of agent audio
since the line was answered. `clear` throws away what was not heard yet and sets `sent_ms`
back to `heard_ms`, so positions never run backwards and `heard_ms <= sent_ms` always holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from chorus.audio.frame import AudioFormat

RING_TIMEOUT_S = 30
"""How long a telephone rings to which a line is transferred."""


class LineCause(StrEnum):
    """Why a line ended."""

    FAR_END = "far_end"  # the person hung up
    LOCAL = "local"  # we hung up
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    CANCELED = "canceled"  # withdrawn before it was answered
    TRANSFERRED = "transferred"  # the carrier has connected the far end with somebody else
    DROPPED = "dropped"  # the socket or the carrier went away without a goodbye
    FAILED = "failed"  # the carrier refused or broke; `detail` says how


@dataclass(frozen=True, slots=True)
class LineEnded:
    cause: LineCause
    detail: str = ""


class LineMove(StrEnum):
    """What happens to a leg besides its audio."""

    HELD = "held"  # by the far end, or because we asked for it
    RESUMED = "resumed"
    TRANSFERRED = "transferred"  # the line's end follows
    NOT_TRANSFERRED = "not_transferred"  # it was taken, and came to nothing: the leg is as before


class LineEvents(Protocol):
    """What a conversation hears of its line. Called on the event loop; must not block."""

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        """Caller audio in the line's format, any length; `at_ms` is the line's own time of
        its first sample, counted from the start of the stream (a hole in it is lost audio)."""
        ...

    def line_digit(self, digit: str) -> None:
        """One key, `0`-`9`, `*`, `#` or `A`-`D`; once a press."""
        ...

    def line_moved(self, move: LineMove) -> None:
        """It was held, resumed or transferred; only from a line that can tell."""
        ...

    def line_ended(self, ended: LineEnded) -> None:
        """The last call that a line makes, once, also after `hang_up`."""
        ...


class Line(Protocol):
    """An answered leg. Methods without `async` return at once and never raise on a line that
    has already ended: what they were given is dropped."""

    @property
    def format(self) -> AudioFormat:
        """Of both directions."""
        ...

    @property
    def lossless(self) -> bool:
        """The transport delivers everything in the end (TCP): what is missing is late, and a hole
        in the line's own time was never sent. False: what is missing may never come (RTP)."""
        ...

    @property
    def lead_ms(self) -> int:
        """How far ahead of being played audio may be sent. Larger where the carrier buffers
        and can be cleared."""
        ...

    @property
    def ahead_ms(self) -> float:
        """How much of what was sent is not due to be played yet, by the clock: send while it is
        less than `lead_ms`. Not by `heard_ms`, which lags by the way there and back: the far
        end would run dry wherever that is longer than the lead."""
        ...

    @property
    def provider(self) -> str: ...

    @property
    def leg_id(self) -> str:
        """The carrier's own id of this leg."""
        ...

    def start(self, events: LineEvents) -> None:
        """Begin to deliver; what came earlier is delivered first."""
        ...

    def play(self, audio: bytes) -> None:
        """Queue audio in the line's format behind what is queued already."""
        ...

    def clear(self) -> None:
        """Stop what is playing now and forget what is queued, here and at the carrier."""
        ...

    @property
    def sent_ms(self) -> float: ...

    @property
    def heard_ms(self) -> float: ...

    @property
    def takes_keys(self) -> bool:
        """Whether keys mean anything at the far end."""
        ...

    def send_digits(self, digits: str) -> None:
        """Press keys, one after the other, as this carrier can: as events beside the audio, or as
        tones in it, behind what is queued. `w` and `W` are pauses of 0.5 and 1 s. Raises
        `ValueError` for what is no key."""
        ...

    def ended_at_carrier(self, ended: LineEnded) -> None:
        """The carrier says by another way than the line's own (a status webhook) that the leg is
        over. The line's own end normally comes first, and knows more: it is waited for a moment."""
        ...

    async def hang_up(self) -> None:
        """End the leg at the carrier too. Safe to call twice; `line_ended` follows."""
        ...


@runtime_checkable
class TransferableLine(Line, Protocol):
    """A line whose carrier can connect the far end with somebody else. A line has these methods
    only where its carrier can: ask with `isinstance`."""

    async def transfer(self, to: str, ring_timeout_s: int = RING_TIMEOUT_S) -> None:
        """Ask the carrier to connect the far end with `to`, an E.164 number or a SIP address, and
        to give up when nobody has answered for so long. Where a carrier takes no time and tells
        nothing, the line gives up, and the far end may be connected all the same.
        That it was taken is not that anybody answered. `LineMove.TRANSFERRED` and the line's end
        follow, or `LineMove.NOT_TRANSFERRED` where the carrier tells of a failure. Raises
        `MoveRefused` where the carrier did not take it; the leg is then as before."""
        ...


@runtime_checkable
class JoinableLine(Line, Protocol):
    """A line whose carrier can connect its far end with that of another line of the same carrier,
    on which somebody talks already."""

    async def connect_with(self, other: Line) -> None:
        """Returns when the carrier has taken it; sound passes until it is done.
        `LineMove.TRANSFERRED` and the line's end follow, or `LineMove.NOT_TRANSFERRED`. Raises
        `MoveRefused` where the carrier did not take it; both legs are then as before."""
        ...


@runtime_checkable
class AbsentLine(TransferableLine, Protocol):
    """A line whose audio is gone while its carrier calls somebody else, and comes back if that
    comes to nothing."""

    def transferred_at_carrier(self) -> None:
        """The carrier says by another way than the line's own that somebody else has the far end.
        The line's end follows. Nothing happens if no transfer is under way."""
        ...


@runtime_checkable
class HoldableLine(Line, Protocol):
    """A line whose carrier can put the far end on hold. Both raise `MoveRefused`."""

    async def hold(self) -> None: ...

    async def resume(self) -> None: ...


@runtime_checkable
class TellingLine(Line, Protocol):
    """A line whose far end is a program, which is told what happens in the call."""

    def tell(self, kind: str, at_ms: int, data: Mapping[str, Any]) -> None:
        """A happening of the timeline (docs/conversation.md), `at_ms` since the call was answered.
        Must not block."""
        ...


class MoveRefused(Exception):
    """The carrier did not hold, resume or transfer. The text is fit for the call's record."""


def is_address(to: str) -> bool:
    """Whether it is a SIP address and no number."""
    return to.startswith(("sip:", "sips:"))


@dataclass(frozen=True, slots=True)
class Dial:
    """An outbound leg to place. Numbers are E.164; `to` may be a SIP address where the carrier
    calls one (`CarrierKind.calls_addresses`)."""

    call_id: str
    to: str
    from_: str
    ring_timeout_s: int = 60
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """The call's context variables: a carrier may send some of them along."""
    headers: tuple[tuple[str, str], ...] = ()
    """More SIP headers, of one line each; only for a carrier that sends them
    (`CarrierKind.sends_headers`)."""
    detect_machine: bool = False
    digits: str = ""
    """To be pressed by the carrier as soon as somebody answers; only for one that does so
    (`CarrierKind.presses_on_answer`)."""
    forward_token: str = field(default="", repr=False)
    """Where `from_` is a caller's number: the `InboundCall.forward_token` of that call."""


class Dialler(Protocol):
    """Places outbound legs for one phone number's credentials."""

    async def dial(self, dial: Dial) -> str:
        """Ask the carrier to ring; returns its id of the leg as soon as it has accepted. What comes
        of it (ringing, answered, busy…) arrives by the carrier's own route. Raises `DialFailed`."""
        ...

    async def cancel(self, leg_id: str) -> None:
        """Stop ringing, or end the call if it was answered meanwhile. Never raises for a call
        that is already over."""
        ...


class DialFailed(Exception):
    """The carrier did not take the call. `detail` is fit for the call's record: no secrets."""

    def __init__(self, cause: LineCause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail
