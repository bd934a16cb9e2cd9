"""A few threads for models that run in this process, shared by all calls and all engines.

Work is ordered by when its result is due, whoever asked for it; between equals, by who asked
first. A job that nobody waits for any more is dropped before it begins, and so is one that is only
worth something while there is nothing better to do (`spare`), as soon as other work waits. The
threads have a low priority: audio comes first. The runtimes below let go of the interpreter while
they compute.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_NICENESS = 10


class Dropped(Exception):
    """A spare job that was not begun, because other work was waiting."""


@dataclass(order=True, slots=True)
class _Job(Generic[T]):
    due_s: float
    number: int
    run: Callable[[], T] = field(compare=False)
    answer: asyncio.Future[T] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    spare: bool = field(compare=False)


class ModelThreads:
    """`count` threads, started when first needed. End them with `aclose`."""

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"at least one thread is needed, not {count}")
        self.count = count or os.cpu_count() or 1
        self._changed = threading.Condition()
        self._waiting: list[_Job[object]] = []
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether a thread is free right now."""
        return self._busy + len(self._waiting) < self.count

    async def run(self, job: Callable[[], T], due_in_s: float, *, spare: bool = False) -> T:
        """Run it on one of the threads; whatever it raises is raised here. `due_in_s` from now
        only orders it. Raises `Dropped` for a spare job that had to give way, `RuntimeError`
        after `aclose`."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + due_in_s
        answer: asyncio.Future[T] = loop.create_future()
        entry = _Job(due_s, next(self._numbers), job, answer, loop, spare)
        with self._changed:
            if self._closed:
                raise RuntimeError("the threads are closed")
            if spare and not self.idle:
                raise Dropped
            heapq.heappush(self._waiting, entry)  # pyright: ignore[reportArgumentType]  any result
            if self._busy + len(self._waiting) > len(self._threads) < self.count:
                thread = threading.Thread(target=self._work, name="model", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()
        return await answer

    async def aclose(self) -> None:
        """End the threads after what they are at; what waits is cancelled."""
        with self._changed:
            self._closed = True
            left, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in left:
            job.answer.cancel()
        await asyncio.to_thread(lambda: [thread.join() for thread in self._threads])

    def _work(self) -> None:
        lower_priority()
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = heapq.heappop(self._waiting)
                if job.answer.cancelled():
                    continue
                give_way = job.spare and bool(self._waiting)
                self._busy += 1
            try:
                result = Dropped() if give_way else _result(job)
            finally:
                with self._changed:
                    self._busy -= 1
            # Its loop may have been closed meanwhile; other loops' work goes on.
            with contextlib.suppress(RuntimeError):
                job.loop.call_soon_threadsafe(_answer, job.answer, result)


def lower_priority() -> None:
    """Of the calling thread, and of those that it starts. Linux only; elsewhere nothing."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _result(job: _Job[object]) -> object:
    try:
        return job.run()
    except Exception as error:  # the asker's to judge
        return _Failure(error)


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


def _answer(answer: asyncio.Future[object], result: object) -> None:
    if answer.done():
        return
    if isinstance(result, _Failure):
        answer.set_exception(result.error)
    elif isinstance(result, Dropped):
        answer.set_exception(result)
    else:
        answer.set_result(result)
