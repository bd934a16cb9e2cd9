"""Two servers on one Postgres: each call is dialled once, and one carries on for the other."""

from __future__ import annotations

import asyncio
import math
import random
import time
from pathlib import Path

import httpx
import pytest
from tests.soak.rig import FINAL, Rig, environment, free_port, people

from chorus.accounts.leases import SHARE
from chorus.demo.carrier import client
from chorus.demo.carrier.person import Person, Say, Step, Wait, WaitQuiet


async def _started(folder: Path, first: Rig) -> Rig:
    """Another on the same database and carrier, with the same agent and number."""
    env = first.env | {"CHORUS_PORT": str(free_port())}
    second = Rig(first.carrier, folder, env, first.database_url, wish=first.wish)
    await second.start()
    return second


@pytest.mark.timeout(240)
async def test_each_call_is_dialled_once_and_a_key_has_one_limit_at_both(
    tmp_path: Path, postgres_url: str
):
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
            let_through, lasted_s = await _asked_at_both(one, two, 50)
        finally:
            await one.stop()
            await two.stop()
    assert [call["status"] for call in calls if call["status"] not in FINAL] == []
    dials = one.dials()
    assert (len(dials), max(dials.values())) == (20, 1)
    assert len(names) <= 2
    # Had a minute of the clock ended meanwhile, the window would have let some more through.
    assert 50 - math.ceil(50 * SHARE) <= let_through <= 50 * (1 + lasted_s / 60)


async def _asked_at_both(one: Rig, two: Rig, limit: int) -> tuple[int, float]:
    """With a key of so many requests a minute: how many were let through, and in which time."""
    async with one.http() as http:
        wish = {"name": "narrow", "scopes": ["read"], "rateLimitPerMinute": limit}
        key = (await http.post("/v1/api-keys", json=wish)).json()["data"]["key"]
    bearer = {"Authorization": f"Bearer {key}"}
    answers: list[httpx.Response] = []
    async with one.http() as first, two.http() as second:
        began_s = time.monotonic()
        for _ in range(limit):
            for http in (first, second):
                answers.append(await http.get("/v1/agents?limit=1", headers=bearer))
        lasted_s = time.monotonic() - began_s
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    refused = answers[statuses.index(429)].headers
    assert 1 <= int(refused["Retry-After"]) <= 121
    assert refused["X-RateLimit-Remaining"] == "0"
    return statuses.count(200), lasted_s


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_calls_of_one_that_died_are_ended_by_the_other(tmp_path: Path, postgres_url: str):
    rows: list[tuple[object, ...]] = []
    async with client.running() as carrier:
        one = Rig(carrier, tmp_path / "one", environment(carrier, postgres_url), postgres_url)
        await one.start()
        await one.prepare()
        two = await _started(tmp_path / "two", one)
        try:
            talk: list[Step] = [WaitQuiet(quiet_ms=300), Say(sound="tone", ms=400), Wait(ms=1000)]
            assert await one.place("+15550000001", Person(ring_ms=100, steps=talk * 30))
            await carrier.wait("agent.speaks", 30)
            [call] = await two.calls()
            async with asyncio.timeout(20):
                while not (heard := await _heard(two, call["id"])):
                    await asyncio.sleep(0.2)
            one.kill()
            killed_at = time.monotonic()
            [call] = await two.settled(90)
            lasted_s = time.monotonic() - killed_at
            asked = f"/Calls/{call['callSid']}.json"
            for _ in range(100):
                if any(asked in event.get("path", "") for event in carrier.events):
                    break
                await asyncio.sleep(0.1)
            async with two.http() as http:
                call = (await http.get(f"/v1/calls/{call['id']}")).json()["data"]
            done = "SELECT status FROM {dbos}workflow_status WHERE name = 'after_call'"
            for _ in range(50):
                rows = await two.rows(done)
                if rows == [("SUCCESS",)]:
                    break
                await asyncio.sleep(0.2)
        finally:
            await two.stop()
    assert (call["status"], call["endedReason"]) == ("failed", "worker_lost")
    assert lasted_s < 15
    forms = [event["form"] for event in carrier.events if asked in event.get("path", "")]
    assert [form["Status"] for form in forms] == [["completed"]], carrier.events[-20:]
    assert call["transcript"][0] == {"role": "assistant", "content": heard[0]}
    assert rows == [("SUCCESS",)]


async def _heard(rig: Rig, call_id: str) -> list[str]:
    """What the person has heard of the agent until now."""
    async with rig.http() as http:
        events = (await http.get(f"/v1/calls/{call_id}/events?limit=100")).json()["data"]
    return [event["data"]["heard"] for event in events if event["kind"] == "reply_heard"]
