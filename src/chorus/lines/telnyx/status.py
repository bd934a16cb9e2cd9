"""Telnyx' words for how a call fares, and what they mean in Chorus'.

https://developers.telnyx.com/api-reference/callbacks/call-hangup
https://developers.telnyx.com/docs/voice/programmable-voice/answering-machine-detection
"""

from __future__ import annotations

from typing import Any

from chorus.lines.desk import Detected, MachineResult, Progress, Stage
from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip.causes import ended_by, printable

# `hangup_cause`; of a call that was answered there are two.
_TALKED = frozenset({"normal_clearing", "time_limit"})
_CAUSES = {
    "call_rejected": LineCause.REJECTED,
    "user_busy": LineCause.BUSY,
    "timeout": LineCause.NO_ANSWER,
    "no_answer": LineCause.NO_ANSWER,
    "originator_cancel": LineCause.CANCELED,
}

_MACHINE_EVENTS = frozenset(
    {
        "call.machine.detection.ended",
        "call.machine.greeting.ended",
        "call.machine.premium.detection.ended",
        "call.machine.premium.greeting.ended",
    }
)
_FOUND: dict[str, Detected] = {
    "human": "person",
    "human_residence": "person",
    "human_business": "person",
    "machine": "machine",
    "fax_detected": "fax",
}
_ENDINGS = frozenset({"ended", "beep_detected"})


def progress_of(event: str, body: dict[str, Any], leg_id: str, call_id: str) -> Progress | None:
    """Of a webhook's type and payload. They may arrive late, twice and out of order. None for one
    that says nothing of this. No event tells that it rings: a call that was placed counts as
    ringing as soon as Telnyx has initiated it."""
    if event == "call.initiated" and body.get("direction") == "outgoing":
        return Progress(leg_id, call_id, Stage.RINGING)
    if event == "call.answered":
        return Progress(leg_id, call_id, Stage.ANSWERED, answered=True)
    if event != "call.hangup":
        return None
    return Progress(leg_id, call_id, Stage.ENDED, ended_of(body), answered=talked(body))


def ended_of(body: dict[str, Any]) -> LineEnded:
    """Of `call.hangup`. Which side hung up an answered call the line itself knows best; this counts
    where it is silent."""
    said = str(body.get("hangup_cause"))
    if said == "normal_clearing":
        return LineEnded(LineCause.FAR_END)
    if said == "time_limit":
        return LineEnded(LineCause.DROPPED, "Telnyx ended the call at its time limit")
    sip = str(body.get("sip_hangup_cause") or "")
    status = int(sip) if sip.isascii() and sip.isdecimal() and len(sip) == 3 else 0
    by_status = ended_by(status) if 300 <= status <= 699 else None
    cause = _CAUSES.get(said)
    if cause is not None:
        return LineEnded(cause, by_status.detail if by_status else "")
    return by_status or LineEnded(LineCause.FAILED, printable(f"Telnyx says {said}"))


def talked(body: dict[str, Any]) -> bool:
    """Whether the call of this `call.hangup` was answered."""
    return body.get("hangup_cause") in _TALKED


def machine_result(
    event: str, body: dict[str, Any], leg_id: str, call_id: str
) -> MachineResult | None:
    """Of a webhook of answering-machine detection; None for any other. The end of a greeting is
    told only of a machine."""
    if event not in _MACHINE_EVENTS:
        return None
    heard = printable(str(body.get("result")))[:60]
    greeting = event.endswith(".greeting.ended")
    return MachineResult(
        leg_id=leg_id,
        call_id=call_id,
        heard=heard,
        found="machine" if greeting else _FOUND.get(heard),
        message_ended=greeting and heard in _ENDINGS,
    )
