"""A recording with two voices, as a call on one line makes it."""

from __future__ import annotations

from typing import Any

from chorus.audio.record import Recording


class Recorded(Recording):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.left, self.right = self.track("left"), self.track("right")

    def caller(self, pcm16: bytes, at_ms: float) -> None:
        self.left.put(pcm16, at_ms)

    def agent(self, pcm16: bytes, at_ms: float) -> None:
        self.right.put(pcm16, at_ms)

    def agent_cut(self, at_ms: float) -> None:
        self.right.cut(at_ms)
