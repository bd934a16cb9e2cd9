"""Whether a turn is over: the model's verdict, or that of silence where the model has none.

A model that fails, is late or has too much to do must not cost the caller the whole fallback
silence: for that one question the length of the silence and the last words decide, as they do
without any model. If it would be long enough before the question is asked again, that moment is
waited for.
"""

from __future__ import annotations

import asyncio

from chorus.speech.engines import EndOfTurn, EngineFailed, Heard
from chorus.speech.eot.silence import silence_needed_ms
from chorus.talk.failures import Failures
from chorus.talk.turns.pause import ASK_AGAIN_MS

JUDGE_TIMEOUT_S = 2.0


class Judge:
    """One call's."""

    def __init__(self, model: EndOfTurn, language: str | None, failures: Failures) -> None:
        self._model = model
        self._language = language
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
        missing_ms = silence_needed_ms(heard.text, self._language) - heard.silence_ms - waited_ms
        if missing_ms > 0 and missing_ms + waited_ms > ASK_AGAIN_MS:
            return 0.0
        await asyncio.sleep(max(missing_ms, 0.0) / 1000)
        return 1.0
