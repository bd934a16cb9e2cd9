"""A caller who says nothing: asked whether they are still there, then told goodbye.

Time counts while nobody speaks, nothing is being prepared and no tool runs. It begins anew with
every sound of either side; words or a key of the caller make all reminders available again.
"""

from __future__ import annotations

from typing import Literal


class Waiting:
    """`timeout_ms` None waits for ever. After `reminders` that were not answered the call ends."""

    def __init__(self, timeout_ms: float | None, reminders: int) -> None:
        self._timeout_ms = timeout_ms
        self._reminders = reminders
        self._since_ms = 0.0
        self.reminded = 0

    def answered(self) -> None:
        """The caller has said something or pressed a key."""
        self.reminded = 0

    def tick(self, now_ms: float, *, quiet: bool) -> Literal["remind", "leave"] | None:
        """What is due now, at most once each `timeout_ms`."""
        if self._timeout_ms is None:
            return None
        if not quiet:
            self._since_ms = now_ms
            return None
        if now_ms - self._since_ms < self._timeout_ms:
            return None
        self._since_ms = now_ms
        if self.reminded == self._reminders:
            return "leave"
        self.reminded += 1
        return "remind"
