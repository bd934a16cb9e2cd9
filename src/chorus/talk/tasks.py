"""The tasks of one call: all in one group, and wound down in one place."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """Hands out tasks of `group` and knows which are still there."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._live: set[asyncio.Task[None]] = set()
        self._over = False
        # Work is begun from callbacks too, of the ticker and of sockets, which know no call.
        self._context = contextvars.copy_context()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self._group.create_task(work, name=name, context=self._context.copy())
        self._live.add(task)
        task.add_done_callback(self._live.discard)
        if self._over:
            task.cancel()
        return task

    def cancel(self) -> None:
        """All of them, and whichever might still come; the end of the group waits until they
        have ended."""
        self._over = True
        for task in tuple(self._live):
            task.cancel()


def once_in_time(tasks: Tasks, then: Callable[[], None], seconds: float) -> Callable[[], None]:
    """`then`, which runs when what is returned is called, or after `seconds`; once."""
    waiting = [then]

    def once() -> None:
        if waiting:
            waiting.pop()()

    async def later() -> None:
        await asyncio.sleep(seconds)
        once()

    tasks.spawn(later(), "once-in-time")
    return once
