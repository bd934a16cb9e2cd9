"""`chorus serve --workers 2`: one port, two processes, replaced and killed while people talk."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
import pytest
from tests.soak.rig import Rig, environment
from tests.soak.workers_rig import until_workers, workers

from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, Wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TALKS = Person(steps=[Wait(ms=500), Say(sound="tone", ms=400), Wait(ms=3000), HangUp()])


async def asking(rig: Rig, over: asyncio.Event) -> list[int]:
    """The answers to whoever goes on asking over one connection, which may end between two."""
    answers: list[int] = []
    async with rig.http() as http:
        while not over.is_set():
            answers.append((await http.get("/healthz")).status_code)
            await asyncio.sleep(0.05)
    return answers


async def test_workers_are_replaced_without_a_lost_call_and_one_that_is_killed_harms_no_other(
    tmp_path: Path, postgres_url: str
):
    async with client.running() as carrier:
        env = environment(carrier, postgres_url)
        env |= {"CHORUS_WORKERS": "2", "CHORUS_DRAIN_SECONDS": "30"}
        rig = Rig(carrier, tmp_path / "data", env, postgres_url)
        await rig.start()
        assert rig.server is not None
        try:
            await rig.prepare()
            first = await until_workers(rig, set())

            # Replaced one after the other, while calls are placed and people talk.
            over = asyncio.Event()
            asked = asyncio.ensure_future(asking(rig, over))
            assert await rig.place("+15550000001", TALKS)
            await carrier.wait("agent.speaks", 30)
            rig.server.process.send_signal(signal.SIGHUP)
            replaced = asyncio.ensure_future(until_workers(rig, first))
            number = 1
            while not replaced.done():
                number += 1
                assert await rig.place(f"+1555{number:07}", TALKS)
                await asyncio.sleep(0.5)
            second = await replaced
            calls = await rig.settled()
            over.set()
            assert {call["status"] for call in calls} == {"completed"}, calls
            assert len(calls) == number
            assert set(await asked) == {200}

            # One is killed: its calls end, the other's go on, and another comes for it.
            talks_on = Person(steps=[Wait(ms=15_000), HangUp()])
            placed = [f"+1556{n:07}" for n in range(6)]
            assert all(await asyncio.gather(*(rig.place(to, talks_on) for to in placed)))
            ids = {rig.accepted[to] for to in placed}
            holders = await talking(rig, ids)
            victim = next(pid for pid, place in workers(rig).items() if place in holders.values())
            place = workers(rig)[victim]
            os.kill(victim, signal.SIGKILL)
            killed_at = time.monotonic()
            theirs = {id for id, holder in holders.items() if holder == place}
            while await lost(rig) < theirs:
                assert time.monotonic() - killed_at < 15
                await asyncio.sleep(0.2)
            await until_workers(rig, {victim})
            assert victim in second
            calls = await rig.settled()
            assert await lost(rig) == theirs
            others = [c for c in calls if c["id"] in ids - theirs]
            assert {call["status"] for call in others} <= {"completed"}
            assert await rig.place("+15570000001", TALKS)
            await rig.settled()
            assert await lost(rig) == theirs
        finally:
            status = await asyncio.to_thread(rig.server.stop)
    assert status == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(rig.server.url)


async def talking(rig: Rig, ids: set[str]) -> dict[str, str]:
    """Once all of these are talked on: call → the place of the worker that holds it."""
    query = "SELECT id, lease_owner FROM calls WHERE status = 'in_progress'"
    found: dict[str, str] = {}
    async with asyncio.timeout(40):
        while not ids <= set(found):
            await asyncio.sleep(0.2)
            rows = await rig.rows(query)
            found = {str(id): str(owner).rpartition("-")[2] for id, owner in rows}
    return {id: found[id] for id in ids}


async def lost(rig: Rig) -> set[str]:
    rows = await rig.rows("SELECT id FROM calls WHERE ended_reason = 'worker_lost'")
    return {str(id) for (id,) in rows}


async def test_one_that_stands_still_is_killed_and_another_comes(tmp_path: Path, postgres_url: str):
    async with client.running() as carrier:
        env = environment(carrier, postgres_url) | {"CHORUS_WORKERS": "2"}
        rig = Rig(carrier, tmp_path / "data", env, postgres_url)
        await rig.start()
        try:
            first = await until_workers(rig, set())
            stuck = min(first)
            os.kill(stuck, signal.SIGSTOP)
            stopped_at = time.monotonic()
            found = await until_workers(rig, {stuck})
            lasted_s = time.monotonic() - stopped_at
            assert found > first - {stuck}, "the other has beaten all the while"
        finally:
            await rig.stop()
    assert 25 < lasted_s < 60
