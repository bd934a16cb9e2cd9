"""Whether a turn is over, as the end-of-turn model says it; None where it does not.

A model that fails, is late or has too much to do must not cost the caller the whole fallback
silence: without its opinion the length of the silence and the last words decide
(`turns/enough.py`).
"""

from __future__ import annotations

import asyncio

from chorus.speech.engines import EndOfTurn, EngineFailed, Heard
from chorus.talk.failures import Failures

JUDGE_TIMEOUT_S = 2.0


class Judge:
    """One call's."""

    def __init__(self, model: EndOfTurn, failures: Failures) -> None:
        self._model = model
        self._failures = failures

    async def verdict(self, heard: Heard) -> float | None:
        """The probability that the turn is over, on the model's own scale. Never raises."""
        try:
            async with asyncio.timeout(JUDGE_TIMEOUT_S):
                return await self._model.judge(heard)
        except (EngineFailed, TimeoutError) as failure:
            detail = str(failure) or "no verdict in time"
            self._failures.note(self._model.name, "end_of_turn", detail, "silence")
            return None
