"""Asking engines that stand in for one another: the next one where one fails, and, if that is
wanted, the next one beside one that is slower than usual. Whoever begins to answer first answers;
the other is stopped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

from chorus.speech.ranking import Ranking

E = TypeVar("E")
T = TypeVar("T")
F = TypeVar("F", bound=Exception)
E_contra = TypeVar("E_contra", contravariant=True)
F_contra = TypeVar("F_contra", bound=Exception, contravariant=True)

Hedging = Literal["off", "model", "all"]
"""Which engines are asked beside one that is slow: none, the language model, or the voice too."""


@dataclass(frozen=True, slots=True)
class Hedge(Generic[E]):
    """Ask the next one when one has not begun within its usual time: `untried_ms` while that is not
    known, and `most_ms` at the most. `beaten` says, as a failure, that one was overtaken."""

    untried_ms: float
    most_ms: Callable[[E], float]
    beaten: Callable[[E], Exception]


class Told(Protocol[E_contra, F_contra]):
    """What whoever asks is told; on the event loop."""

    def asked(self, engine: E_contra) -> None:
        """It is asked, or it is the one whose answer counts."""
        ...

    def replaced(self, failure: F_contra) -> None:
        """One failed, and another answers instead."""
        ...

    def hedged(self, engine: E_contra, by: E_contra, waited_ms: float) -> None:
        """`engine` is slow, and `by` is asked beside it."""
        ...

    def lost(self, engine: E_contra) -> None:
        """What it was asked was paid for, and its answer is not used."""
        ...


class _Mark(Enum):
    over = 1


@dataclass(slots=True, eq=False)
class _Runner(Generic[E, T]):
    engine: E
    task: asyncio.Task[None] | None = None
    due_s: float | None = None
    early: list[T] = field(default_factory=list[T])


async def race(
    ranking: Ranking[E],
    start: Callable[[E], AsyncGenerator[T]],
    failures: type[F],
    told: Told[E, F],
    *,
    hedge: Hedge[E] | None,
    begins: Callable[[T], bool],
    due: Callable[[], Coroutine[Any, Any, object]] | None = None,
    faulty: Callable[[F], bool] = lambda _: True,
    resumes: bool = False,
) -> AsyncGenerator[tuple[E, T]]:
    """What the engine that answers gives, each time with the engine. `start` has one answer;
    `begins` says which of what it gives makes it the one whose answer counts. Once there is one,
    its failure is raised, unless the next one `resumes`. An engine has to begin from when `due`
    returns, at once without it. `faulty`: whether a failure is the engine's own. Raises the last
    failure."""
    one = _Race(ranking, start, told, hedge)
    try:
        one.begin()
        one.wait_for(due)
        while True:
            try:
                async with asyncio.timeout_at(one.hedge_s):
                    runner, item = await one.queue.get()
            except TimeoutError:
                one.ask_beside()
                continue
            if runner is None:
                one.is_due()
            elif runner not in one.running:
                continue
            elif isinstance(item, Exception):
                one.over(runner)
                if not isinstance(item, failures):
                    raise item
                if faulty(item):
                    ranking.failed(runner.engine, item)
                if (one.winner is not None and not resumes) or not (one.running or one.left):
                    raise item
                told.replaced(item)
                one.winner = None
                if not one.running:
                    one.begin()
            elif item is _Mark.over or one.winner is runner or begins(cast("T", item)):
                if one.winner is None:
                    one.wins(runner)
                    for early in runner.early:
                        yield runner.engine, early
                if item is _Mark.over:
                    return
                yield runner.engine, cast("T", item)
            else:
                runner.early.append(cast("T", item))
    finally:
        await one.aclose()


class _Race(Generic[E, T]):
    """The state of one. `hedge_s`: when the next one is to be asked, by the loop's clock."""

    def __init__(
        self,
        ranking: Ranking[E],
        start: Callable[[E], AsyncGenerator[T]],
        told: Told[E, Any],
        hedge: Hedge[E] | None,
    ) -> None:
        self.queue: asyncio.Queue[tuple[_Runner[E, T] | None, T | _Mark | Exception]]
        self.queue = asyncio.Queue()
        self.left = deque(ranking.order())
        self.running: list[_Runner[E, T]] = []
        self.winner: _Runner[E, T] | None = None
        self.hedge_s: float | None = None
        self._loop = asyncio.get_running_loop()
        self._ranking = ranking
        self._start = start
        self._told = told
        self._hedge = hedge
        self._due = self._given = False
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> _Runner[E, T]:
        """Ask the next one."""
        runner = _Runner[E, T](self.left.popleft())
        runner.task = asyncio.create_task(self._run(runner), name="engine")
        self._tasks.append(runner.task)
        self.running.append(runner)
        self._told.asked(runner.engine)
        if self._due:
            self._clock(runner)
        return runner

    def wait_for(self, due: Callable[[], Coroutine[Any, Any, object]] | None) -> None:
        if due is None:
            self.is_due()
        else:
            work = self._tell_when(due)
            self._tasks.append(asyncio.create_task(work, name="engine, due"))

    def is_due(self) -> None:
        """From now on an answer is waited for."""
        self._due = True
        for runner in self.running:
            self._clock(runner)

    def ask_beside(self) -> None:
        self.hedge_s = None
        slow = self.running[0]
        if slow.due_s is None or not self._ranking.waits.may_ask_beside(slow.engine):
            return
        waited_ms = (self._loop.time() - slow.due_s) * 1000
        beside = self.begin()
        self.hedge_s = None  # two at most
        self._told.hedged(slow.engine, beside.engine, waited_ms)

    def wins(self, runner: _Runner[E, T]) -> None:
        """It has begun to answer: the other is stopped."""
        waits, now_s = self._ranking.waits, self._loop.time()
        if runner.due_s is not None and not self._given:
            waits.took(runner.engine, (now_s - runner.due_s) * 1000)
        self.winner, self.hedge_s, self._given = runner, None, True
        for other in [each for each in self.running if each is not runner]:
            first = self.running.index(other) < self.running.index(runner)
            self.over(other)
            self.left.append(other.engine)  # it may have to go on for this one
            self._told.lost(other.engine)
            if first and other.due_s is not None:
                waits.overtaken(other.engine, (now_s - other.due_s) * 1000)
            if first and self._hedge is not None and waits.was_beaten(other.engine):
                self._ranking.failed(other.engine, self._hedge.beaten(other.engine))
        # Another may have been asked after it, and failed.
        self._told.asked(runner.engine)

    def over(self, runner: _Runner[E, T]) -> None:
        self.running.remove(runner)
        if runner.task is not None:
            runner.task.cancel()

    async def aclose(self) -> None:
        if self.winner is None:  # who asked accounts for one of them
            for beside in self.running[:-1]:
                self._told.lost(beside.engine)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _clock(self, runner: _Runner[E, T]) -> None:
        waits = self._ranking.waits
        runner.due_s = self._loop.time()
        waits.asked(runner.engine)
        self.hedge_s = None
        alone = self._given or not self.left or len(self.running) > 1
        if self._hedge is None or alone or self._ranking.rests_now(self.left[0]):
            return
        usual_ms = waits.usual_ms(
            runner.engine,
            untried_ms=self._hedge.untried_ms,
            most_ms=self._hedge.most_ms(runner.engine),
        )
        self.hedge_s = runner.due_s + usual_ms / 1000

    async def _run(self, runner: _Runner[E, T]) -> None:
        try:
            async with aclosing(self._start(runner.engine)) as items:
                async for item in items:
                    self.queue.put_nowait((runner, item))
            self.queue.put_nowait((runner, _Mark.over))
        except Exception as error:  # raised again by who reads the queue
            self.queue.put_nowait((runner, error))

    async def _tell_when(self, due: Callable[[], Coroutine[Any, Any, object]]) -> None:
        await due()
        self.queue.put_nowait((None, _Mark.over))
