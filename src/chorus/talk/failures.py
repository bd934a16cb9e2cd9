"""What is done about an engine that fails in mid-call, and when a call is given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from chorus.llm.model import ModelFailed
from chorus.speech.engines import EngineFailed

MAX_FAILURES = 3
"""So many replies that failed one after the other end the call."""

Remedy = Literal["asked_again", "apology", "call_ended"]


class Failures:
    """One call's. `note(kind, **data)` writes the timeline."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note
        self._in_a_row = 0

    def of_reply(
        self, failure: ModelFailed | EngineFailed, *, draft: bool, leaving: bool
    ) -> Remedy:
        """A reply broke. A draft is only asked again; of any other the caller is told, and after
        some in a row the call is given up. In a call that is `leaving`, about to end, nobody is
        asked to say it again."""
        remedy: Remedy = "asked_again"
        if leaving:
            remedy = "call_ended"
        elif not draft:
            self._in_a_row += 1
            remedy = "apology" if self._in_a_row < MAX_FAILURES else "call_ended"
        stage = failure.stage if isinstance(failure, EngineFailed) else "model"
        self.note(failure.vendor, stage, failure.detail, remedy)
        return remedy

    def forgive(self) -> None:
        """The model has said something and it was heard. An apology heard is no such sign."""
        self._in_a_row = 0

    def note(self, vendor: str, stage: str, detail: str, remedy: str) -> None:
        self._note("engine_failed", vendor=vendor, stage=stage, detail=detail, remedy=remedy)
