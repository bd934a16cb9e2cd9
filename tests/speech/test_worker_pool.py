"""Leasing of workers of a pool, here those of espeak."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from chorus.speech.engines import EngineFailed
from chorus.speech.tts import espeak_worker
from chorus.speech.worker_pool import WorkerPool


def _pool(size: int = 1, module: str = espeak_worker.__name__, timeout_s: float = 20) -> WorkerPool:
    return WorkerPool("test", module, size, espeak_worker.READY, start_timeout_s=timeout_s)


def test_leases_are_given_in_the_order_of_asking_and_a_cancelled_one_is_passed_on():
    async def main() -> list[str]:
        pool = _pool()
        served: list[str] = []

        async def ask(name: str) -> None:
            leased = await pool.lease()
            served.append(name)
            await asyncio.sleep(0)
            pool.release(leased)

        held = await pool.lease()
        asking = [asyncio.create_task(ask(name)) for name in "abcd"]
        await asyncio.sleep(0)
        asking[0].cancel()
        pool.release(held)  # goes to b
        asking[1].cancel()  # just after it was served
        await asyncio.gather(*asking, return_exceptions=True)
        await pool.aclose()
        return served

    assert asyncio.run(main()) == ["c", "d"]


def test_an_idle_worker_that_dies_is_replaced_before_it_is_needed():
    async def main() -> None:
        pool = _pool()
        await pool.warm()
        (old,) = pool.pids
        os.kill(old, signal.SIGKILL)
        async with asyncio.timeout(10):
            while pool.pids in ((), (old,)):
                await asyncio.sleep(0.005)
        await pool.aclose()

    asyncio.run(main())


def test_a_worker_that_cannot_start_fails_the_lease_and_nothing_hangs(capfd):
    async def main() -> None:
        pool = _pool(module="chorus.speech.no_such_worker")
        results = await asyncio.gather(pool.lease(), pool.lease(), return_exceptions=True)
        assert [isinstance(result, EngineFailed) for result in results] == [True, True]
        assert pool.pids == ()
        await pool.aclose()

    asyncio.run(main())
    assert "no_such_worker" in capfd.readouterr().err


def test_a_worker_that_never_says_ready_is_given_up():
    async def main() -> None:
        # The simplest process that waits for ever: one that is not told apart from a hang.
        pool = WorkerPool("test", espeak_worker.__name__, 1, ready=99, start_timeout_s=0.3)
        with pytest.raises(EngineFailed, match="in time"):
            await pool.lease()
        assert pool.pids == ()
        await pool.aclose()

    asyncio.run(main())


def test_closing_refuses_who_waits_and_reaps_who_is_starting():
    async def main() -> None:
        pool = _pool()
        starting = asyncio.create_task(pool.lease())
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(pool.lease())
        await asyncio.sleep(0)
        await pool.aclose()
        results = await asyncio.gather(starting, waiting, return_exceptions=True)
        assert [isinstance(result, EngineFailed) for result in results] == [True, True]

    asyncio.run(main())
    with pytest.raises(ChildProcessError):  # no child is left, dead or alive
        os.waitpid(-1, os.WNOHANG)


def test_a_lease_that_is_cancelled_while_its_worker_starts_leaves_no_process():
    async def main() -> None:
        pool = _pool()
        for delay_s in (0, 0.001, 0.05):
            asking = asyncio.create_task(pool.lease())
            await asyncio.sleep(delay_s)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        leased = await pool.lease()
        pool.release(leased)
        await pool.aclose()

    asyncio.run(main())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_workers_leave_when_their_parent_is_killed(tmp_path):
    import subprocess
    import sys
    import time

    code = (
        "import asyncio\n"
        "from chorus.speech.tts.espeak import EspeakVoice\n"
        "async def main():\n"
        "    voice = EspeakVoice()\n"
        "    await voice.warm()\n"
        "    print(voice.worker_pids[0], flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{worker}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return  # dead; whoever adopted it has yet to notice
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)
    pytest.fail("the worker outlived its parent")
