"""The end of a turn by Smart Turn v3: a model that listens to how the caller speaks.

`judge` waits for the process in which the model runs (`smart_turn_worker.py`) and asks it; the
questions of all calls are answered one by one, in the order of asking. A call whose question is out
of date cancels it and asks again: what nobody waits for any more is not computed. A full queue, a
missed deadline and one that would be missed are `EngineFailed`: turn-taking then falls back on
silence, at once.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from chorus.speech.engines import EngineFailed, Heard
from chorus.speech.eot import smart_turn_worker as worker
from chorus.speech.eot.smart_turn_model import NAME, RATES_HZ, end_of
from chorus.speech.worker_pool import PoolWorker, WorkerPool

log = logging.getLogger(__name__)

# A verdict takes 17 ms of a quiet core: this worker hangs.
_HANGS_S = 5.0
_RETRY_S = 10.0


class SmartTurn:
    """`EndOfTurn` by a Smart Turn v3 model file.

    The process is started by `warm`, or by the first question, which it is too late for. `judge`
    raises `EngineFailed` with stage `deadline`, `busy` (more than `max_waiting` questions, or no
    time left for this one), `run`, `worker` (the process is not there) or `closed`.

    Both limits are short, because a verdict is only worth having while a reply is being made: on
    a core that is full, silence and the last words decide sooner than a queue would. The default
    deadline is when a fast reply is ready, counted from the question.
    """

    name = NAME
    threshold = 0.5

    def __init__(
        self,
        model: Path,
        *,
        deadline_ms: float = 160,
        max_waiting: int = 4,
        pool: WorkerPool | None = None,
    ) -> None:
        if deadline_ms <= 0:
            raise ValueError(f"deadline_ms must be positive: {deadline_ms}")
        if max_waiting < 1:
            raise ValueError(f"max_waiting must be at least 1: {max_waiting}")
        self._pool = pool or WorkerPool(
            NAME, worker.__name__, 1, worker.READY, arguments=(str(model),)
        )
        self._deadline_s = deadline_ms / 1000
        self._max_waiting = max_waiting
        self._waiting = 0
        self._takes_s = 0.0  # what a verdict takes these days
        self._starting: asyncio.Task[None] | None = None
        self._closed = False

    async def warm(self) -> None:
        """Start the process ahead of the first question. Raises `EngineFailed`."""
        await self._pool.warm()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        return self._pool.pids

    async def judge(self, heard: Heard) -> float:
        if heard.rate_hz not in RATES_HZ:
            raise EngineFailed(NAME, "run", f"8000 or 16000 Hz, not {heard.rate_hz}")
        if self._closed:
            raise EngineFailed(NAME, "closed", "the engine is closed")
        if self._waiting >= self._max_waiting:
            raise EngineFailed(NAME, "busy", f"{self._max_waiting} questions wait")
        if not self._pool.up:
            self._start()
            raise EngineFailed(NAME, "worker", "the process is not up yet")
        due_s = asyncio.get_running_loop().time() + self._deadline_s
        try:
            async with asyncio.timeout_at(due_s):
                return await self._ask(await self._lease(), heard, due_s)
        except TimeoutError as error:
            raise EngineFailed(NAME, "deadline", "no answer in time") from error

    async def aclose(self) -> None:
        """End the process; whoever waits gets `EngineFailed`."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._pool.aclose()

    def _start(self) -> None:
        """In a task of its own: a question gives up long before a process is up."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._try_to_start(), name=f"start {NAME}")

    async def _try_to_start(self) -> None:
        try:
            await self._pool.warm()
        except EngineFailed as failure:
            log.error("%s; turns end by silence", failure)
            await asyncio.sleep(_RETRY_S)
        finally:
            self._starting = None

    async def _lease(self) -> PoolWorker:
        self._waiting += 1
        try:
            return await self._pool.lease()
        except EngineFailed as failure:
            if self._closed:
                raise EngineFailed(NAME, "closed", "the engine is closed") from failure
            raise
        finally:
            self._waiting -= 1

    def _ask(self, leased: PoolWorker, heard: Heard, due_s: float) -> asyncio.Future[float]:
        """The process is free again when it has answered, whether anybody still waits or not."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        answer: asyncio.Future[float] = loop.create_future()
        # One stall must not have it refuse all from then on.
        if began_s + min(self._takes_s, self._deadline_s / 2) > due_s:
            self._pool.release(leased)
            answer.set_exception(EngineFailed(NAME, "busy", "no time was left for it"))
            return answer
        hangs = loop.call_later(_HANGS_S, leased.kill)

        def on_message(kind: int, payload: bytes) -> None:
            hangs.cancel()
            took_s = loop.time() - began_s
            self._takes_s = 0.8 * self._takes_s + 0.2 * took_s if self._takes_s else took_s
            self._pool.release(leased)
            if answer.done():
                return
            if kind == worker.VERDICT:
                answer.set_result(worker.PROBABILITY.unpack(payload)[0])
            else:
                answer.set_exception(EngineFailed(NAME, "run", payload.decode("utf-8", "replace")))

        def on_gone() -> None:
            hangs.cancel()
            if not answer.done():
                why = ("closed", "the engine is closed") if self._closed else ("worker", "it died")
                answer.set_exception(EngineFailed(NAME, *why))

        leased.on_message, leased.on_gone = on_message, on_gone
        leased.send(worker.JUDGE, worker.RATE.pack(heard.rate_hz) + end_of(heard))
        return answer
