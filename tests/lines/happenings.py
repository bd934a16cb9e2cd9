"""What happens to a call at a stand-in, in order, for tests that wait for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Happenings:
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list[Any])
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, kind: str, **facts: Any) -> None:
        self.events.append((kind, facts))
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, kind: str, timeout_s: float = 5, **facts: Any) -> dict[str, Any]:
        """The first event of this kind with these facts."""
        async with asyncio.timeout(timeout_s):
            while (told := self._happened(kind, facts)) is None:
                await self._news.wait()
        return told

    def _happened(self, kind: str, facts: dict[str, Any]) -> dict[str, Any] | None:
        for name, told in self.events:
            if name == kind and all(told.get(key) == value for key, value in facts.items()):
                return told
        return None
