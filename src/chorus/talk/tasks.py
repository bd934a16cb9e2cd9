"""The tasks of one call: all in one group, and wound down in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Hands out tasks of `group` and knows which are still there. `patient` ones may have effects
    in the world and are let finish when the call ends."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._live: set[asyncio.Task[None]] = set()
        self._patient: set[asyncio.Task[None]] = set()

    def spawn(
        self, work: Coroutine[Any, Any, None], name: str, *, patient: bool = False
    ) -> asyncio.Task[None]:
        task = self._group.create_task(work, name=name)
        self._live.add(task)
        task.add_done_callback(self._live.discard)
        if patient:
            self._patient.add(task)
            task.add_done_callback(self._patient.discard)
        return task

    async def wind_down(self, grace_s: float) -> None:
        """Cancel everything now, the patient ones after `grace_s`. The group's own end waits for
        what was cancelled."""
        for task in self._live - self._patient:
            task.cancel()
        if self._patient:
            _, slow = await asyncio.wait(set(self._patient), timeout=grace_s)
            for task in slow:
                task.cancel()
