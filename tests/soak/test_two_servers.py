"""Two servers on one Postgres: each call is dialled once, and one carries on for the other."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.soak.rig import FINAL, Rig, environment, free_port, people

from chorus.demo.carrier import client
from chorus.demo.carrier.person import Person


async def _started(folder: Path, first: Rig) -> Rig:
    """Another on the same database and carrier, with the same agent and number."""
    env = first.env | {"CHORUS_PORT": str(free_port())}
    second = Rig(first.carrier, folder, env, first.database_url, wish=first.wish)
    await second.start()
    return second


@pytest.mark.timeout(240)
async def test_each_call_is_dialled_once(tmp_path: Path, postgres_url: str):
    dice = random.Random(4)
    async with client.running() as carrier:
        one = Rig(carrier, tmp_path / "one", environment(carrier, postgres_url), postgres_url)
        await one.start()
        await one.prepare()
        two = await _started(tmp_path / "two", one)
        try:
            rigs = [one, two] * 10
            placed = [rig.place(f"+1555{n:07}", people(dice)) for n, rig in enumerate(rigs, 1)]
            assert all(await asyncio.gather(*placed))
            calls = await one.settled()
            names = await one.rows("SELECT DISTINCT executor_id FROM {dbos}workflow_status")
        finally:
            await one.stop()
            await two.stop()
    assert [call["status"] for call in calls if call["status"] not in FINAL] == []
    dials = one.dials()
    assert (len(dials), max(dials.values())) == (20, 1)
    assert len(names) <= 2


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_calls_of_one_that_died_are_ended_by_the_other(tmp_path: Path, postgres_url: str):
    async with client.running() as carrier:
        one = Rig(carrier, tmp_path / "one", environment(carrier, postgres_url), postgres_url)
        await one.start()
        await one.prepare()
        two = await _started(tmp_path / "two", one)
        try:
            assert await one.place("+15550000001", Person(ring_ms=100))
            await carrier.wait("agent.speaks", 30)
            one.kill()
            [call] = await two.settled(90)
            done = "SELECT status FROM {dbos}workflow_status WHERE name = 'after_call'"
            for _ in range(50):
                rows = await two.rows(done)
                if rows == [("SUCCESS",)]:
                    break
                await asyncio.sleep(0.2)
        finally:
            await two.stop()
    assert (call["status"], call["endedReason"]) == ("failed", "worker_lost")
    assert rows == [("SUCCESS",)]
