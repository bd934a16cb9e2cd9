"""One request to a call's language models: the first that begins an answer gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace

from chorus.llm.model import LanguageModel, ModelFailed, ModelItem, Prompt, ToolCall, Usage
from chorus.llm.second import reply_with_words
from chorus.speech.ranking import Ranking
from chorus.talk.text.speakable import Speakable
from chorus.telemetry.spans import Value, span


async def ask(
    models: Ranking[LanguageModel],
    prompt: Prompt,
    *,
    on_asked: Callable[[LanguageModel], None],
    on_replaced: Callable[[ModelFailed], None],
) -> AsyncGenerator[ModelItem, None]:
    """The answer of the first model that begins one. Once an item was passed on there is no way
    back, as the caller may have heard it: a later `ModelFailed` is the reply's."""
    order = models.order()
    for model in order:
        on_asked(model)
        begun = False
        try:
            with span(f"chat {model.name}", "client", **_about(model)) as asked:
                async with aclosing(reply_with_words(model, prompt, Speakable)) as items:
                    async for item in items:
                        if isinstance(item, Usage):
                            asked.put("gen_ai.usage.input_tokens", item.input_tokens)
                            asked.put("gen_ai.usage.output_tokens", item.output_tokens)
                        else:
                            begun = True
                        yield item
            return
        except ModelFailed as failure:
            if failure.retryable:  # else the request is to blame, not the model
                models.failed(model, failure)
            if begun or model is order[-1]:
                raise
            on_replaced(failure)


def _about(model: LanguageModel) -> dict[str, Value]:
    vendor, _, name = model.name.partition("/")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": vendor,
        "gen_ai.request.model": name or vendor,
    }


def of_its_own(call: ToolCall, taken: Collection[str]) -> ToolCall:
    """`call` under an id that is not `taken`: servers exist that give the same one to all, and a
    result belongs to one call."""
    return replace(call, id=f"{call.id}-{len(taken)}") if call.id in taken else call
