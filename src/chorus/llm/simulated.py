"""A model without a model: measures the platform with a known, constant model time.

Every reply is the same tokens at the same pace, so that whatever a measurement shows beyond
`first_token_ms` and `token_ms` was added by the platform. Used by the load tests; it costs the
process next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from chorus.llm.model import ModelItem, Prompt, TextDelta, Usage

# A short clause first, then a sentence and a question: 26 tokens, as the baselines' stand-ins use.
TOKENS = (
    *("Sure", ",", " I", " can", " help", " with", " that", "."),
    *(" What", " time", " would", " you", " like", " to", " come", " in", ","),
    *(" and", " is", " it", " for", " a", " party", " of", " two", "?"),
)


class SimulatedModel:
    """Answers after `first_token_ms`, then a token every `token_ms`, on an absolute schedule."""

    def __init__(
        self,
        *,
        first_token_ms: float = 200,
        token_ms: float = 25,
        tokens: Sequence[str] = TOKENS,
    ) -> None:
        if not tokens:
            raise ValueError("tokens: at least one is needed")
        self._first_s = first_token_ms / 1000
        self._token_s = token_ms / 1000
        self._items = tuple(map(TextDelta, tokens))

    @property
    def name(self) -> str:
        return "simulated"

    def phrases(self, system: str) -> tuple[str, ...]:
        return ()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        """See `LanguageModel.reply`."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        for item in self._items:
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            yield item
            due += self._token_s
        words = sum(len(m.content) for m in prompt.messages) + len(prompt.system)
        yield Usage(input_tokens=words // 4, output_tokens=len(self._items))
