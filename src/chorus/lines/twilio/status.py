"""Twilio's words for how a call fares, and what they mean in Chorus'."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chorus.lines.desk import Detected, MachineResult, Progress, Stage
from chorus.lines.line import LineCause, LineEnded


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
_FOUND: dict[str, Detected] = {"human": "person", "fax": "fax"}
_DECLINED_SIP = frozenset({403, 603, 607, 608})

_CAUSES = {
    CallStatus.COMPLETED: LineCause.FAR_END,
    CallStatus.BUSY: LineCause.BUSY,
    CallStatus.NO_ANSWER: LineCause.NO_ANSWER,
    CallStatus.CANCELED: LineCause.CANCELED,
    CallStatus.FAILED: LineCause.FAILED,
}
FINAL = frozenset(_CAUSES)
_STAGES = {CallStatus.RINGING: Stage.RINGING, CallStatus.IN_PROGRESS: Stage.ANSWERED}


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A status callback. They may arrive late, twice and out of order."""

    call_sid: str
    status: CallStatus
    sip_code: int | None = None
    duration_s: int | None = None
    """`CallDuration`: since it was answered; only with `completed`."""

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

    def progress(self, call_id: str) -> Progress | None:
        """None for a status that says nothing new (`queued`, `initiated`). Of a call that nobody
        answered Twilio never says `completed`."""
        if (ended := self.ended) is not None:
            answered = self.status is CallStatus.COMPLETED
            return Progress(
                self.call_sid, call_id, Stage.ENDED, ended, answered, answered_s=self.duration_s
            )
        stage = _STAGES.get(self.status)
        if stage is None:
            return None
        return Progress(self.call_sid, call_id, stage, answered=stage is Stage.ANSWERED)


def machine_result(call_sid: str, call_id: str, answered_by: str) -> MachineResult:
    """`answered_by` is Twilio's `AnsweredBy`: `human`, `fax`, `machine_start`,
    `machine_end_beep`, `machine_end_silence`, `machine_end_other`, `unknown`.
    https://www.twilio.com/docs/voice/answering-machine-detection"""
    return MachineResult(
        leg_id=call_sid,
        call_id=call_id,
        heard=answered_by,
        found="machine" if answered_by.startswith("machine") else _FOUND.get(answered_by),
        message_ended=answered_by.startswith("machine_end"),
    )
