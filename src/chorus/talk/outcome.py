"""Why a call ended, and what is left of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, cast

from chorus.lines.line import LineCause
from chorus.speech.engines import EngineFailed
from chorus.talk.answered.verdict import Verdict
from chorus.talk.dialogue import TranscriptLine

log = logging.getLogger(__name__)

LINE_REASONS: dict[LineCause, str] = {
    LineCause.FAR_END: "customer_ended",
    LineCause.LOCAL: "agent_ended",
    LineCause.CANCELED: "customer_ended",
    LineCause.TRANSFERRED: "transferred",
    LineCause.BUSY: "busy",
    LineCause.NO_ANSWER: "no_answer",
    LineCause.REJECTED: "rejected",
    LineCause.DROPPED: "provider_error",
    LineCause.FAILED: "provider_error",
}

FAILED_REASONS = frozenset({"provider_error", "internal_error", "worker_lost"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `detail` explains a failure and holds no secrets; `recording_fault` says
    what of the recording was lost, if anything; `answered_by` what was found out last of who
    answered, where somebody listened for it."""

    status: Literal["completed", "failed"]
    reason: str
    detail: str
    duration_ms: int
    turn_count: int
    transcript: tuple[TranscriptLine, ...]
    recording_fault: str | None = None
    answered_by: Verdict | None = None


def blame(failure: Exception, call_id: str) -> tuple[str, str]:
    """The reason of a call that an exception ended: an engine's, or a fault of ours."""
    broken = failure
    while isinstance(broken, ExceptionGroup):
        broken = cast("ExceptionGroup[Exception]", broken).exceptions[0]
    if isinstance(broken, EngineFailed):
        return "provider_error", str(broken)
    log.error("call %s broke", call_id, exc_info=failure)
    return "internal_error", type(broken).__name__
