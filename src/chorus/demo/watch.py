"""Follows one call through the API while it lasts: its events, in order, as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from chorus.demo.platform import Platform

POLL_S = 0.15
FINAL = frozenset({"completed", "failed", "no_answer"})
Event = dict[str, Any]


class Watch:
    """`run` until the call is over; `until` waits for an event meanwhile. `on_event` is told of
    each."""

    def __init__(self, platform: Platform, call_id: str, on_event: Callable[[Event], None]) -> None:
        self.call_id = call_id
        self.events: list[Event] = []
        self.over = False
        self._platform = platform
        self._on_event = on_event
        self._news = asyncio.Condition()

    async def run(self) -> None:
        try:
            while not self.over:
                path = f"/calls/{self.call_id}/events"
                page = await self._platform.get(path, limit=100, offset=len(self.events))
                async with self._news:
                    for event in page["data"]:
                        self.events.append(event)
                        self._on_event(event)
                        if event["kind"] == "status_changed" and event["data"]["status"] in FINAL:
                            self.over = True
                    self._news.notify_all()
                if not page["data"]:
                    await asyncio.sleep(POLL_S)
        finally:
            self.over = True
            async with self._news:
                self._news.notify_all()

    async def until(
        self, wanted: Callable[[Event], bool], after: int, timeout_s: float
    ) -> Event | None:
        """The first wanted event from number `after` on; None if the call is over without it, or
        the time."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        async with self._news:
            while True:
                for event in self.events[after:]:
                    if wanted(event):
                        return event
                after = max(after, len(self.events))
                left_s = deadline_s - asyncio.get_running_loop().time()
                if self.over or left_s <= 0:
                    return None
                try:
                    async with asyncio.timeout(left_s):
                        await self._news.wait()
                except TimeoutError:
                    return None

    async def ended(self, timeout_s: float) -> bool:
        await self.until(lambda _: False, len(self.events), timeout_s)
        return self.over
