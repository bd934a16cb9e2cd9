"""jambonz's words for how a call fares, and what they mean in Chorus'."""

from __future__ import annotations

from typing import Any

from chorus.lines.desk import Detected, MachineResult, Progress, Stage
from chorus.lines.line import LineCause, LineEnded
from chorus.lines.sip.causes import ended_by, printable
from chorus.lines.webhook_body import whole_number

# `call_status`; `trying` and `queued` say nothing new.
# https://docs.jambonz.org/reference/websocket-api/call-control/call-status
_STAGES = {
    "ringing": Stage.RINGING,
    "early-media": Stage.RINGING,
    "in-progress": Stage.ANSWERED,
}
_CAUSES = {
    "failed": LineCause.FAILED,
    "busy": LineCause.BUSY,
    "no-answer": LineCause.NO_ANSWER,
}

_FOUND: dict[str, Detected | None] = {
    "amd_machine_detected": "machine",
    "amd_machine_stopped_speaking": "machine",
    "amd_tone_detected": "machine",
    "amd_human_detected": "person",
    "amd_no_speech_detected": None,
    "amd_decision_timeout": None,
    "amd_error": None,
}


def progress_of(body: dict[str, Any], leg_id: str, call_id: str) -> Progress | None:
    """Of a status webhook. They may arrive late, twice and out of order. None for one that says
    nothing new."""
    status = str(body.get("call_status"))
    if status == "completed":
        # Which side hung up the line itself knows best; this counts where it is silent.
        by_jambonz = body.get("call_termination_by") == "jambonz"
        ended = (
            LineEnded(LineCause.DROPPED, "jambonz ended the call")
            if by_jambonz
            else LineEnded(LineCause.FAR_END)
        )
        lasted_s = whole_number(body.get("duration"))
        return Progress(leg_id, call_id, Stage.ENDED, ended, answered=True, answered_s=lasted_s)
    if status in _CAUSES:
        return Progress(leg_id, call_id, Stage.ENDED, _unanswered(status, body))
    if status in _STAGES:
        stage = _STAGES[status]
        return Progress(leg_id, call_id, stage, answered=stage is Stage.ANSWERED)
    return None


def _unanswered(status: str, body: dict[str, Any]) -> LineEnded:
    """By the SIP status where there is one: jambonz calls both 486 and 603 busy, and everything
    but 486, 487 and 603 a failure."""
    sip_status = whole_number(body.get("sip_status"))
    if sip_status is None or not 300 <= sip_status <= 699:
        return LineEnded(_CAUSES[status])
    reason = body.get("sip_reason")
    return ended_by(sip_status, reason=printable(reason) if isinstance(reason, str) else "")


def machine_result(body: dict[str, Any], leg_id: str, call_id: str) -> MachineResult | None:
    """Of a webhook of answering-machine detection; None for one that says nothing of who
    answered. https://docs.jambonz.org/docs/supporting-articles/answering-machine-detection"""
    heard = str(body.get("type"))
    if heard not in _FOUND:
        return None
    return MachineResult(
        leg_id=leg_id,
        call_id=call_id,
        heard=heard.removeprefix("amd_"),
        found=_FOUND[heard],
        message_ended=heard in ("amd_machine_stopped_speaking", "amd_tone_detected"),
    )
