"""What Twilio's routes ask of the rest of Chorus, and what they tell it.

The routes know Twilio and nothing else. Whose number it is, whether the agent may take the
call, and what becomes of it is behind the `Desk`, which `calls/` implements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from chorus.lines.line import Line, LineCause, LineEnded

TWILIO_API_URL = "https://api.twilio.com"


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """Credentials of an account. `api_url` is the origin of any API that speaks Twilio's
    (Somleng, SignalWire, the demo's carrier)."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_url: str = TWILIO_API_URL


@dataclass(frozen=True, slots=True)
class InboundCall:
    """Somebody rings. `account_sid` is the account that signed; `from_` is empty or a word such
    as `anonymous` when it is withheld."""

    call_sid: str
    account_sid: str
    from_: str
    to: str
    params: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Take the call: open a stream that names `call_id` and shows `token`."""

    call_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Do not take it: the caller hears "busy" or that the number is not in service. Neither is
    billed as an answered call. `reason` is for the log."""

    reason: str
    how: Literal["busy", "rejected"] = "rejected"


class CallStatus(StrEnum):
    """`CallStatus` of https://www.twilio.com/docs/voice/api/call-resource#call-status-values;
    `initiated` occurs in callbacks only."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"


# Declined by the person or by their network's policy (RFC 3261 §21, RFC 8197, RFC 8688).
_DECLINED_SIP = frozenset({403, 603, 607, 608})

_CAUSES = {
    CallStatus.COMPLETED: LineCause.FAR_END,
    CallStatus.BUSY: LineCause.BUSY,
    CallStatus.NO_ANSWER: LineCause.NO_ANSWER,
    CallStatus.CANCELED: LineCause.CANCELED,
    CallStatus.FAILED: LineCause.FAILED,
}


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A status callback, signed by `account_sid`: it says nothing about another account's call,
    whatever `call_sid` it names. They may arrive late, twice and out of order: `sequence`
    counts them per call from 0 (None where the carrier does not count). `call_id` is None for
    a callback that is set on a number."""

    call_sid: str
    account_sid: str
    call_id: str | None
    status: CallStatus
    sequence: int | None = None
    duration_s: int | None = None
    sip_code: int | None = None
    answered_by: str | None = None
    params: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def ended(self) -> LineEnded | None:
        """How the leg ended, if this status is a last one. For a call that was answered, what
        its line said stands: only that knows which side hung up."""
        cause = _CAUSES.get(self.status)
        if cause is None:
            return None
        declined = self.sip_code in _DECLINED_SIP
        if declined and cause in (LineCause.BUSY, LineCause.FAILED):
            cause = LineCause.REJECTED
        detail = "" if self.sip_code in (None, 200) else f"SIP {self.sip_code}"
        return LineEnded(cause, detail)


@dataclass(frozen=True, slots=True)
class MachineResult:
    """What answering-machine detection heard; `heard` is Twilio's `AnsweredBy`: `human`, `fax`,
    `machine_start`, `machine_end_beep`, `machine_end_silence`, `machine_end_other`, `unknown`."""

    call_sid: str
    account_sid: str
    call_id: str
    heard: str
    after_ms: int | None = None

    @property
    def is_machine(self) -> bool:
        return self.heard == "fax" or self.heard.startswith("machine")


class Desk(Protocol):
    """Implemented by `calls/`. An exception becomes a 500, on which Twilio tries the number's
    fallback URL."""

    async def account_of_number(self, number: str, account_sid: str) -> TwilioAccount | None:
        """Whose signature a webhook for our `number` must carry. None refuses the request."""
        ...

    async def account_of_call(self, call_id: str) -> TwilioAccount | None:
        """The same for a call that exists; also used to hang it up."""
        ...

    async def answer(self, inbound: InboundCall) -> Admitted | Refused:
        """Decide within 10 s. The carrier may ask again for the same `call_sid` when it lost
        our answer: that must not make a second call."""
        ...

    async def status(self, update: StatusUpdate) -> None: ...

    async def machine(self, result: MachineResult) -> None: ...

    async def claim(self, call_id: str, token: str) -> bool:
        """Whether `token` belongs to the call. Compared in constant time; true once only. Both
        come from a stranger until this returned true."""
        ...

    async def stream(self, line: Line, call_id: str) -> None:
        """Hold the conversation; return when it is over. The line is hung up afterwards."""
        ...
