"""A language model that says what the test wrote down, on the loop's own (virtual) time.

    model = FakeModel([
        Scripted("Sure, at what time?"),
        Scripted(ToolCall("c1", "book", '{"party": 2}')),
        Scripted("One moment.", ToolCall("c2", "book", "{}"), usage=Usage(120, 9)),
        Scripted(error=ModelFailed("fake", "overloaded")),
        Scripted("It was going to", error=ModelFailed("fake", "dropped"), error_after=2),
    ])

Each request takes the next reply; or pass a function of the prompt, which is free to answer by
what it is shown (drafts repeat a turn's request, so a function is often what such tests need).
Every request is kept in `requests` with how it ended.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from chorus.llm.model import ModelFailed, ModelItem, Prompt, TextDelta, ToolCall, Usage


class Scripted:
    """One reply: text and tool calls in order; text streams a word at a time.

    `first_ms` passes before the first item, `item_ms` before each later one. `error` is raised
    after `error_after` items (None: after all). `hang_after` never yields again after that many
    items, until it is closed.
    """

    def __init__(
        self,
        *items: str | ToolCall,
        first_ms: float = 200,
        item_ms: float = 25,
        usage: Usage | None = None,
        error: ModelFailed | None = None,
        error_after: int | None = None,
        hang_after: int | None = None,
    ) -> None:
        self.items: list[ModelItem] = []
        for item in items:
            if isinstance(item, str):
                self.items += [TextDelta(word) for word in re.findall(r"\s*\S+|\s+", item)]
            else:
                self.items.append(item)
        if usage is not None:
            self.items.append(usage)
        self.first_ms = first_ms
        self.item_ms = item_ms
        self.error = error
        self.error_after = len(self.items) if error_after is None else error_after
        self.hang_after = hang_after


@dataclass
class Request:
    """What the model was asked. Times are the loop's, in seconds; `ended` is None while the
    reply is under way."""

    prompt: Prompt
    started_at: float
    items: list[ModelItem] = field(default_factory=list[ModelItem])
    ended: Literal["done", "closed", "failed"] | None = None
    ended_at: float | None = None

    @property
    def text(self) -> str:
        return "".join(i.text for i in self.items if isinstance(i, TextDelta))


class FakeModel:
    """See the module. Running out of replies raises `ModelFailed`, naming the request."""

    def __init__(
        self,
        replies: Iterable[Scripted | str] | Callable[[Prompt], Scripted | str] = (),
        *,
        name: str = "fake",
        phrases: tuple[str, ...] = (),
    ) -> None:
        self._name = name
        self._phrases = phrases
        self._choose = replies if callable(replies) else None
        self._queue = [] if callable(replies) else list(replies)
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    def phrases(self, system: str) -> tuple[str, ...]:
        return self._phrases

    def then(self, *replies: Scripted | str) -> None:
        """Add replies for the requests to come."""
        self._queue += replies

    @property
    def open(self) -> int:
        """Requests still under way; a test of cancellation expects 0."""
        return sum(1 for r in self.requests if r.ended is None)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[ModelItem, None]:
        loop = asyncio.get_running_loop()
        request = Request(prompt, loop.time())
        self.requests.append(request)
        try:
            scripted = self._next(prompt)
            for n, item in enumerate(scripted.items):
                await self._obstacle(scripted, n)
                await asyncio.sleep((scripted.item_ms if n else scripted.first_ms) / 1000)
                request.items.append(item)
                yield item
            await self._obstacle(scripted, len(scripted.items))
            request.ended = "done"
        except ModelFailed:
            request.ended = "failed"
            raise
        finally:
            request.ended = request.ended or "closed"
            request.ended_at = loop.time()

    def _next(self, prompt: Prompt) -> Scripted:
        if self._choose is not None:
            reply = self._choose(prompt)
        elif self._queue:
            reply = self._queue.pop(0)
        else:
            last = prompt.messages[-1].content if prompt.messages else ""
            raise ModelFailed(self._name, f"no reply is scripted for {last!r}", retryable=False)
        return Scripted(reply) if isinstance(reply, str) else reply

    @staticmethod
    async def _obstacle(scripted: Scripted, done: int) -> None:
        if scripted.hang_after is not None and done >= scripted.hang_after:
            await asyncio.get_running_loop().create_future()
        if scripted.error is not None and done >= scripted.error_after:
            if done == 0:
                await asyncio.sleep(scripted.first_ms / 1000)
            raise scripted.error
