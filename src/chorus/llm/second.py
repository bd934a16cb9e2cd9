"""A reply with words, or a failure: a model that answers nothing is asked once more.

Nothing is no answer, also where it is reasoning only, layout only, or a call of no tool: the
caller would sit in silence. What has no words is passed on all the same (it does no harm, and its
tokens are counted), then the same prompt is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from chorus.llm.model import LanguageModel, ModelFailed, ModelItem, Prompt, TextDelta, ToolCall


class Layout(Protocol):
    """Takes out of a text as it streams what nobody would hear of it."""

    def feed(self, text: str) -> str: ...
    def flush(self) -> str: ...


class _All:
    """Takes out nothing."""

    def feed(self, text: str) -> str:
        return text

    def flush(self) -> str:
        return ""


async def reply_with_words(
    model: LanguageModel, prompt: Prompt, layout: Callable[[], Layout] = _All
) -> AsyncGenerator[ModelItem, None]:
    """As `LanguageModel.reply`; raises `ModelFailed` also if the model says nothing twice."""
    silent = False  # what came before has no words, and must not run into what follows
    for _ in range(2):
        answered, heard = False, layout()
        async with aclosing(model.reply(prompt)) as items:
            async for item in items:
                if isinstance(item, TextDelta):
                    answered = answered or _has_words(heard.feed(item.text))
                    if silent:
                        yield TextDelta("\n")
                        silent = False
                elif isinstance(item, ToolCall):
                    answered = True
                yield item
        if answered or _has_words(heard.flush()):
            return
        silent = True
    raise ModelFailed(model.name, "the reply held no words, twice")


def _has_words(text: str) -> bool:
    return any(char.isalnum() for char in text)
