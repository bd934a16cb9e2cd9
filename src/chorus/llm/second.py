"""A reply with words, or a failure: a model that answers nothing is asked once more.

Nothing is no answer, also where it is reasoning only, layout only, or a call of no tool: the
caller would sit in silence. What has no words is passed on all the same (it does no harm, and its
tokens are counted), then the same prompt is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from chorus.llm.model import LanguageModel, ModelFailed, ModelItem, Prompt, TextDelta, ToolCall


async def reply_with_words(model: LanguageModel, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
    """As `LanguageModel.reply`; raises `ModelFailed` also if the model says nothing twice."""
    for _ in range(2):
        answered = False
        async with aclosing(model.reply(prompt)) as items:
            async for item in items:
                if isinstance(item, TextDelta):
                    answered = answered or any(char.isalnum() for char in item.text)
                elif isinstance(item, ToolCall):
                    answered = True
                yield item
        if answered:
            return
    raise ModelFailed(model.name, "the reply held no words, twice")
