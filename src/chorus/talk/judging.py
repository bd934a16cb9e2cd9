"""Whether a turn is over: the model's verdict, or that of silence where the model has none.

A model that fails or is late must not cost the caller the whole fallback silence: for that one
question the length of the silence and the last words decide, as they do without any model.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from chorus.speech.engines import EndOfTurn, EngineFailed, Heard
from chorus.speech.eot.silence import SilenceEndOfTurn
from chorus.talk.failures import Failures

JUDGE_TIMEOUT_S = 2.0


class Judge:
    """One call's."""

    def __init__(self, model: EndOfTurn, language: str | None, failures: Failures) -> None:
        self._model = model
        self._silence = SilenceEndOfTurn(language)
        self._failures = failures

    async def verdict(self, heard: Heard) -> float:
        """The probability that the turn is over, on the model's own scale. Never raises."""
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(JUDGE_TIMEOUT_S):
                return await self._model.judge(heard)
        except (EngineFailed, TimeoutError) as failure:
            detail = str(failure) or "no verdict in time"
            self._failures.note(self._model.name, "end_of_turn", detail, "silence")
        waited_ms = (asyncio.get_running_loop().time() - began_s) * 1000
        heard = replace(heard, silence_ms=heard.silence_ms + waited_ms)
        over = await self._silence.judge(heard) >= self._silence.threshold
        return 1.0 if over else 0.0
