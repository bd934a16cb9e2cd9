"""One request to a call's language models: the first that begins an answer gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import replace

from chorus.llm.model import LanguageModel, ModelFailed, ModelItem, Prompt, ToolCall, Usage
from chorus.llm.second import reply_with_words
from chorus.speech.racing import Hedge, Told, race
from chorus.speech.ranking import Ranking
from chorus.talk.text.speakable import Speakable
from chorus.telemetry.spans import Value, span

_HEDGE: Hedge[LanguageModel] = Hedge(
    untried_ms=1500,
    most_ms=lambda _: 4000,
    beaten=lambda model: ModelFailed(model.name, "another answered sooner, three times in a row"),
)


async def ask(
    models: Ranking[LanguageModel],
    prompt: Prompt,
    told: Told[LanguageModel, ModelFailed],
    *,
    hedged: bool = False,
) -> AsyncGenerator[ModelItem, None]:
    """The answer of the first model that begins one. Once an item was passed on there is no way
    back, as the caller may have heard it: a later `ModelFailed` is the reply's. `hedged`: another
    is asked beside one that is slower than usual. What was paid for comes last."""
    spent: list[Usage] = []
    items = race(
        models,
        lambda model: _answer(model, prompt, spent),
        ModelFailed,
        told,
        hedge=_HEDGE if hedged else None,
        begins=lambda _: True,
        faulty=lambda failure: failure.retryable,  # else the request is to blame
    )
    try:
        async with aclosing(items):
            async for _, item in items:
                yield item
    except ModelFailed:
        for usage in spent:
            yield usage
        raise
    for usage in spent:
        yield usage


async def _answer(
    model: LanguageModel, prompt: Prompt, spent: list[Usage]
) -> AsyncGenerator[ModelItem, None]:
    with span(f"chat {model.name}", "client", **_about(model)) as asked:
        async with aclosing(reply_with_words(model, prompt, Speakable)) as items:
            async for item in items:
                if isinstance(item, Usage):
                    asked.put("gen_ai.usage.input_tokens", item.input_tokens)
                    asked.put("gen_ai.usage.output_tokens", item.output_tokens)
                    spent.append(item)
                else:
                    yield item


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
