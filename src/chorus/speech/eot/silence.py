"""The end of a turn without a model: the silence and the last words decide, as they do for whoever
waits for the end of a turn anyway (`talk/turns/enough.py`)."""

from __future__ import annotations

from chorus.speech.engines import Heard


class SilenceEndOfTurn:
    """`EndOfTurn` that is never of an opinion."""

    name = "silence"
    threshold = 0.5

    async def judge(self, heard: Heard) -> float:
        return self.threshold

    async def aclose(self) -> None:
        """Nothing to release; here so that every engine is closed alike."""
