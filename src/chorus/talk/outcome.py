"""Why a call ended, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chorus.lines.line import LineCause
from chorus.talk.dialogue import TranscriptLine

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
    what of the recording was lost, if anything."""

    status: Literal["completed", "failed"]
    reason: str
    detail: str
    duration_ms: int
    turn_count: int
    transcript: tuple[TranscriptLine, ...]
    recording_fault: str | None = None
