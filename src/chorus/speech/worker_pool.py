"""A small pool of worker processes that calls share: leased in the order of asking.

Workers are started when first needed, or ahead by `warm`, up to the pool's size. Whoever
leases one has it alone until `release`. A worker that dies makes room for another; if it
was leased, its holder is told and leases again. A worker that is not ready in time, or
does not answer its holder (`PoolWorker.kill`), is killed like any other that fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from chorus.speech.engines import EngineFailed
from chorus.speech.workers import Worker

log = logging.getLogger(__name__)


def _nobody(kind: int, payload: bytes) -> None:
    """Answers that come after their holder has gone are dropped."""


class PoolWorker:
    """One worker of a pool. The holder sets `on_message` and `on_gone`."""

    def __init__(self, pool: WorkerPool) -> None:
        self.on_message: Callable[[int, bytes], None] = _nobody
        self.on_gone: Callable[[], None] | None = None
        self.alive = True
        self.ready = False
        self.worker: Worker | None = None
        self._pool = pool

    def send(self, kind: int, payload: bytes = b"") -> None:
        if self.worker is not None:
            self.worker.send(kind, payload)

    def kill(self) -> None:
        """For a worker that hangs; `on_gone` follows."""
        if self.worker is not None:
            self.worker.kill()

    def hear(self, kind: int, payload: bytes) -> None:
        self.on_message(kind, payload)

    def gone(self) -> None:
        self.alive = False
        on_gone, self.on_gone, self.on_message = self.on_gone, None, _nobody
        self._pool.lost(self)
        if on_gone is not None:
            on_gone()


class WorkerPool:
    """Up to `size` workers of `module`, each of which is started with `arguments` and says `ready`
    (a message kind) first."""

    def __init__(
        self,
        vendor: str,
        module: str,
        size: int,
        ready: int,
        *,
        arguments: tuple[str, ...] = (),
        start_timeout_s: float = 20,
    ) -> None:
        if size < 1:
            raise ValueError(f"{vendor}: at least one worker is needed, not {size}")
        self.size = size
        self._vendor = vendor
        self._module = module
        self._arguments = arguments
        self._ready = ready
        self._start_timeout_s = start_timeout_s
        self._workers: set[PoolWorker] = set()
        self._idle: deque[PoolWorker] = deque()
        self._starting = 0
        self._waiters: deque[asyncio.Future[PoolWorker | None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._start_ended = asyncio.Event()
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the live workers, for diagnosis."""
        return tuple(leased.worker.pid for leased in self._workers if leased.worker is not None)

    @property
    def up(self) -> bool:
        """There is a worker that can be leased, now or once it is released."""
        return any(leased.ready for leased in self._workers)

    async def warm(self, count: int | None = None) -> None:
        """Start workers ahead of the first call: `count`, or all. Raises `EngineFailed`."""
        wanted = min(self.size, count or self.size)
        for leased in await asyncio.gather(*(self.lease() for _ in range(wanted))):
            self.release(leased)

    async def lease(self) -> PoolWorker:
        """A ready worker, alone. Waits while all are leased. Raises `EngineFailed`."""
        while True:
            if self._closed:
                raise EngineFailed(self._vendor, "worker", "the engine is closed")
            if self._idle:
                return self._idle.popleft()
            if len(self._workers) + self._starting < self.size:
                return await self._start()
            leased = await self._wait()
            if leased is not None:
                return leased

    def release(self, leased: PoolWorker) -> None:
        """Give a leased worker back, unless it has died; what it still says is dropped."""
        if not leased.alive:
            return
        leased.on_message, leased.on_gone = _nobody, None
        self._hand_on(leased)

    def lost(self, leased: PoolWorker) -> None:
        self._workers.discard(leased)
        if leased in self._idle:
            self._idle.remove(leased)
        if self._closed:
            return
        log.warning("%s: a worker died", self._vendor)
        self._wake()
        # Only for one that had come up: what dies at its start would die again, for ever.
        if leased.ready and not self._waiters:
            task = asyncio.get_running_loop().create_task(self._replace(), name="worker")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End every worker; whoever waits for one gets `EngineFailed`."""
        self._closed = True
        while self._waiters:
            self._wake()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers, self._workers = list(self._workers), set[PoolWorker]()
        self._idle.clear()
        for leased in workers:
            leased.alive = False
            on_gone, leased.on_gone, leased.on_message = leased.on_gone, None, _nobody
            if on_gone is not None:
                on_gone()
        await asyncio.gather(*(h.worker.close() for h in workers if h.worker is not None))
        while self._starting:
            self._start_ended.clear()
            await self._start_ended.wait()

    async def _start(self) -> PoolWorker:
        self._starting += 1
        leased = PoolWorker(self)
        try:
            ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

            def on_message(kind: int, payload: bytes) -> None:
                if kind == self._ready and not ready.done():
                    ready.set_result(True)

            def on_gone() -> None:
                if not ready.done():
                    ready.set_result(False)

            leased.on_message = on_message
            leased.on_gone = on_gone
            worker = await Worker.start(self._module, leased.hear, leased.gone, self._arguments)
            leased.worker = worker
            self._workers.add(leased)
            try:
                if self._closed:
                    raise EngineFailed(self._vendor, "worker", "the engine is closed")
                async with asyncio.timeout(self._start_timeout_s):
                    came = await ready
                if not came:
                    raise EngineFailed(self._vendor, "worker", "it died while it started")
            except BaseException:
                self._workers.discard(leased)
                leased.alive = False
                await asyncio.shield(worker.close())
                raise
        except TimeoutError as error:
            raise EngineFailed(self._vendor, "worker", "it did not start in time") from error
        finally:
            self._starting -= 1
            self._start_ended.set()
            if leased not in self._workers:
                self._wake()
        leased.on_message, leased.on_gone, leased.ready = _nobody, None, True
        return leased

    async def _replace(self) -> None:
        """Have another ready before somebody needs it."""
        if len(self._workers) + self._starting >= self.size:
            return
        try:
            self.release(await self._start())
        except EngineFailed as failure:
            log.error("%s", failure)

    async def _wait(self) -> PoolWorker | None:
        waiter: asyncio.Future[PoolWorker | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # Cancelled just after it was served: pass it on, or a worker is lost for good.
            if waiter.done() and not waiter.cancelled():
                leased = waiter.result()
                if leased is not None:
                    self._hand_on(leased)
                else:
                    self._wake()
            raise

    def _hand_on(self, leased: PoolWorker) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(leased)
                return
        self._idle.append(leased)

    def _wake(self) -> None:
        """There is room for another worker: let the first in line start it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
