"""The database goes away in mid-call: people go on talking, and nothing of it is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.soak.gate import Away, DatabaseGate
from tests.soak.rig import Rig, environment

from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Say, WaitAgent, WaitQuiet

THEIRS = "+15559990001"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("how", "away_s"),
    [
        ("cut", 3.0),
        pytest.param("cut", 10.0, marks=pytest.mark.slow),
        pytest.param("stalled", 10.0, marks=pytest.mark.slow),
    ],
)
async def test_a_call_outlives_its_database(
    tmp_path: Path, postgres_url: str, how: Away, away_s: float
):
    gate = DatabaseGate(postgres_url)
    async with gate.open(), client.running() as carrier:
        rig = Rig(carrier, tmp_path, environment(carrier, gate.url), gate.url)
        await rig.start()
        try:
            call = await _talk_through(rig, gate, how, away_s)
        finally:
            await rig.stop()
    assert call["status"] == "completed"
    assert call["endedReason"] == "customer_ended"
    said = [entry["role"] for entry in call["transcript"]]
    assert said.count("assistant") >= 3
    assert call["recordingUrl"]


async def _talk_through(rig: Rig, gate: DatabaseGate, how: Away, away_s: float) -> dict[str, Any]:
    """The call as it is in the end."""
    await rig.prepare()
    assert await rig.place(THEIRS, Person(steps=[WaitAgent(heard_ms=200), WaitQuiet()]))
    quiet = await rig.carrier.wait("steps.done", 30)
    call = rig.carrier.placed(quiet["call"])
    speak = (Say(sound="tone", ms=700), WaitQuiet(quiet_ms=300))
    async with gate.away(how):
        began = asyncio.get_running_loop().time()
        await call.do(*speak)
        answered = await call.wait("agent.answers", 15, after=quiet["n"])
        await call.do(*speak)
        await call.wait("agent.answers", 15, after=answered["n"])
        # Over while the database is still away: the record has to wait for it.
        await call.do(HangUp())
        await call.wait("call.over")
        await asyncio.sleep(max(0.0, away_s - (asyncio.get_running_loop().time() - began)))
    [over] = await rig.settled()
    async with rig.http() as http:
        events = (await http.get(f"/v1/calls/{over['id']}/events?limit=100")).json()["data"]
        found = (await http.get(f"/v1/calls/{over['id']}")).json()["data"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    assert kinds[-1] == "status_changed"
    return found
