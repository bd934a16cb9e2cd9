"""A model that knows one answer: for a short message with a choice of keys, where nobody is to be
kept waiting for a language model."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from chorus.llm.model import ModelItem, Prompt, TextDelta


class Repeating:
    """Implements `LanguageModel`."""

    name = "repeating"

    def __init__(self, text: str) -> None:
        self._text = text

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        yield TextDelta(self._text)

    def phrases(self, system: str) -> tuple[str, ...]:
        return ()
