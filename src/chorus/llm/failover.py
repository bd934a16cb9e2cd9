"""Several models as one: the first that begins to answer in time gives the reply.

Models are asked in the order given, those that failed lately last. Once an item was passed on
there is no way back: the caller may have heard it, so a later failure is the reply's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence

from chorus.llm.model import LanguageModel, ModelFailed, ModelItem, Prompt

log = logging.getLogger(__name__)


class FailoverModel:
    """`first_item_ms`: what each but the last model asked is given to begin; the last one has
    only its own deadline. `cool_down_ms`: how long a model that failed is asked last.
    `on_failed` is told of each failure that was answered by asking the next model."""

    def __init__(
        self,
        models: Sequence[LanguageModel],
        *,
        first_item_ms: int = 1500,
        cool_down_ms: int = 60_000,
        on_failed: Callable[[ModelFailed], None] | None = None,
    ) -> None:
        if not models:
            raise ValueError("models: at least one is needed")
        self._models = tuple(models)
        self._first_item_s = first_item_ms / 1000
        self._cool_down_s = cool_down_ms / 1000
        self._on_failed = on_failed
        self._failed_at: dict[int, float] = {}

    @property
    def name(self) -> str:
        return self._models[0].name

    def phrases(self, system: str) -> tuple[str, ...]:
        """Only what every model of the list expects is known to be all that will be said."""
        each = [model.phrases(system) for model in self._models]
        return tuple(dict.fromkeys(p for phrases in each for p in phrases)) if all(each) else ()

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        """See `LanguageModel.reply`. If none answers, the error names each and its reason."""
        loop = asyncio.get_running_loop()
        order = self._order(loop.time())
        failures: list[ModelFailed] = []
        for position, index in enumerate(order):
            model = self._models[index]
            last = position == len(order) - 1
            items = model.reply(prompt)
            try:
                try:
                    async with asyncio.timeout(None if last else self._first_item_s):
                        item = await anext(items, None)
                    if item is None:
                        raise ModelFailed(model.name, "the reply was empty")
                except TimeoutError:
                    late = f"nothing came within {round(self._first_item_s * 1000)} ms"
                    failure = ModelFailed(model.name, late)
                except ModelFailed as error:
                    failure = error
                else:
                    self._failed_at.pop(index, None)
                    yield item
                    try:
                        async for item in items:
                            yield item
                    except ModelFailed:
                        self._failed_at[index] = loop.time()
                        raise
                    return
            finally:
                await items.aclose()
            if failure.retryable:  # else the request is to blame, not the model
                self._failed_at[index] = loop.time()
            failures.append(failure)
            if not last:
                log.warning("%s; asking %s", failure, self._models[order[position + 1]].name)
                if self._on_failed is not None:
                    self._on_failed(failure)
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(map(str, failures))
        raise ModelFailed("all models", reasons, retryable=any(f.retryable for f in failures))

    def _order(self, now: float) -> list[int]:
        def cooling(index: int) -> float:
            failed_at = self._failed_at.get(index)
            if failed_at is None or now - failed_at >= self._cool_down_s:
                return 0.0
            return failed_at  # the longest ago first

        return sorted(range(len(self._models)), key=cooling)
