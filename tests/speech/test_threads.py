"""The order of work, and what is dropped, on real threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from chorus.speech.threads import Dropped, ModelThreads


def test_by_when_it_is_due_and_what_nobody_waits_for_is_dropped():
    async def main() -> list[str]:
        threads = ModelThreads(1)
        gate, began = threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        done: list[str] = []

        def first() -> None:
            loop.call_soon_threadsafe(began.set)
            gate.wait(10)

        blocking = asyncio.create_task(threads.run(first, 0))
        await began.wait()
        assert not threads.idle
        with pytest.raises(Dropped):
            await threads.run(lambda: done.append("spare"), 0, spare=True)
        late = asyncio.create_task(threads.run(lambda: done.append("late"), 5))
        gone = asyncio.create_task(threads.run(lambda: done.append("gone"), 1))
        soon = asyncio.create_task(threads.run(lambda: done.append("soon"), 0.1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(blocking, late, soon)
        await threads.aclose()
        return done

    assert asyncio.run(main()) == ["soon", "late"]


def test_a_failure_is_the_askers_and_the_thread_goes_on():
    async def main() -> int:
        threads = ModelThreads(1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0, 0)
        answer = await threads.run(lambda: 42, 0, spare=True)
        await threads.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await threads.run(lambda: 1, 0)
        return answer

    assert asyncio.run(main()) == 42


def test_at_least_one_thread():
    with pytest.raises(ValueError, match="at least one"):
        ModelThreads(0)
