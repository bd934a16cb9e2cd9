"""A call, and all that comes of it: one server, one carrier, one receiver of webhooks.

Somebody calls an agent that follows a script and says when to come; the agent says goodbye and
hangs up. Then the webhook, the call, the ledger, the balance and the files must tell the same.
"""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import Webhook
from tests.soak.afterwards import DOLLARS, SECRET, Afterwards
from tests.soak.rig import OURS, Rig, environment

from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Say, Step, Wait, WaitQuiet, say
from chorus.demo.voices import recite
from chorus.webhooks.sign import key_of

SAID = "Saturday would be better for me"
CALLER = "+15559990001"
SCRIPT = """You arrange deliveries.

script:
when caller says "{day} would be better for me": say "Then {day} it is. Goodbye." and end
otherwise: say "Sorry, could you say that again?"
after call:
    summary "The delivery comes on {day}."
    extract day = {day}, extract moved = true
"""
FIELDS = [
    {"name": "day", "type": "string", "description": "Of the delivery", "required": True},
    {"name": "moved", "type": "boolean", "description": "Whether it was moved"},
    {"name": "allergies", "type": "string", "description": "What the script says nothing of"},
]
KEYS = {
    "event",
    "callId",
    "organizationId",
    "agentId",
    "phoneNumberId",
    "direction",
    "status",
    "customerNumber",
    "durationSeconds",
    "duration",
    "startedAt",
    "endedAt",
    "recordingUrl",
    "transcriptUrl",
    "transcript",
    "summary",
    "extractedData",
    "answeredBy",
    "endedReason",
    "endedDetail",
    "cost",
    "contextVariables",
    "metadata",
    "isFinal",
}


def plain(database_url: str) -> str | None:
    """As psycopg takes it; None for SQLite, which is in the data folder."""
    on_postgres = database_url.startswith("postgresql")
    return database_url.replace("+psycopg", "") if on_postgres else None


@pytest.fixture
async def carrier() -> AsyncGenerator[CarrierClient]:
    async with client.running() as running:
        yield running


@pytest.fixture
async def afterwards(tmp_path: Path) -> AsyncGenerator[Afterwards]:
    async with Afterwards(tmp_path) as running:
        yield running


async def engine(rig: Rig, catalogue: str, name: str) -> str:
    async with rig.http() as http:
        found = (await http.get(f"/v1/{catalogue}?search={name}")).json()["data"]
        return found[0]["id"]


async def over(rig: Rig) -> dict[str, Any]:
    """The only call, once it is over and paid for."""
    async with asyncio.timeout(60):
        while True:
            calls = await rig.calls()
            if calls and calls[0]["cost"] is not None:
                break
            await asyncio.sleep(0.1)
    [call] = calls
    async with rig.http() as http:
        return (await http.get(f"/v1/calls/{call['id']}")).json()["data"]


@pytest.mark.timeout(180)
async def test_everything_that_is_told_of_a_call_agrees(
    tmp_path: Path, database_url: str, carrier: CarrierClient, afterwards: Afterwards
):
    env = environment(carrier, plain(database_url)) | afterwards.env
    rig = Rig(carrier, tmp_path, env, plain(database_url))
    await rig.start()
    try:
        await rig.prepare(
            **afterwards.agent,
            slmModelId=await engine(rig, "slm-models", "script"),
            systemPrompt=SCRIPT,
            agentGreeting="Hello. When shall we come?",
            agentGreetingEnabled=True,
            postCallExtractionSchema=FIELDS,
        )
        await afterwards.top_up(rig)
        async with rig.http() as http:
            await http.patch(f"/v1/agents/{rig.wish['agentId']}", json={"voiceSpeed": 1.05})
        words = (await recite([SAID]))[SAID]
        steps: list[Step] = [WaitQuiet(), say(words), Wait(ms=15_000), HangUp()]
        at_carrier = await carrier.call(OURS, CALLER, Person(steps=steps))
        await at_carrier.wait("agent.answers", 30)
        call = await over(rig)
        told = await _told(afterwards)
        _holds_together(told, call, rig.wish)
        assert call["agentVersion"] == 2
        async with httpx.AsyncClient() as public:
            await _recorded(public, told["recordingUrl"], call["durationSeconds"])
            written = await public.get(told["transcriptUrl"])
            assert written.status_code == 200
            assert SAID.lower() in written.text.lower()
        async with rig.http() as http:
            await _paid(http, call)
        assert await afterwards.problems(rig) == []
    finally:
        await rig.stop()


async def _told(afterwards: Afterwards) -> dict[str, Any]:
    """What the one webhook said; it may have come more often than once."""
    async with asyncio.timeout(30):
        while not afterwards.news:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)  # for one that should not come
    assert len({asked.headers["webhook-id"] for asked in afterwards.news}) == 1
    asked = afterwards.news[0]
    return Webhook(key_of(SECRET)).verify(asked.body, asked.headers)


def _holds_together(told: dict[str, Any], call: dict[str, Any], wish: dict[str, Any]) -> None:
    assert told.keys() == KEYS
    assert told["event"] == "call.completed"
    assert told["callId"] == call["id"]
    assert told["isFinal"] is call["isFinal"] is True
    assert told["agentId"] == wish["agentId"]
    assert told["phoneNumberId"] == wish["phoneNumberId"]
    assert (told["direction"], told["status"]) == ("inbound", "completed")
    assert told["endedReason"] == "agent_ended"
    assert told["customerNumber"] == CALLER
    assert told["duration"] == told["durationSeconds"] == call["durationSeconds"] > 0
    said = [(line["role"], line["content"]) for line in told["transcript"]]
    assert said[0] == ("assistant", "Hello. When shall we come?")
    assert said[1][0] == "user"
    assert said[1][1].lower().rstrip(".") == SAID.lower()
    assert said[2] == ("assistant", "Then saturday it is. Goodbye.")
    assert told["summary"] == "The delivery comes on saturday."
    assert told["extractedData"] == {"day": "saturday", "moved": True, "allergies": None}
    assert call["analysis"] == {
        "summary": told["summary"],
        "extractions": told["extractedData"],
        "problems": [],
    }
    for name in ("organizationId", "status", "transcript", "startedAt", "endedAt", "cost"):
        assert told[name] == call[name], name
    assert told["contextVariables"] == call["contextVariables"]
    assert told["metadata"] == call["metadata"]
    assert told["answeredBy"] is call["answeredBy"] is None  # a call that came in


async def _recorded(public: httpx.AsyncClient, url: str, seconds: int) -> None:
    """The link needs no key, gives the sound of the whole call, and parts of it."""
    whole = await public.get(url)
    assert whole.status_code == 200
    with wave.open(io.BytesIO(whole.content)) as sound:
        assert sound.getnchannels() == 2
        assert abs(sound.getnframes() / sound.getframerate() - seconds) <= 0.6
    part = await public.get(url, headers={"Range": "bytes=44-1043"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 44-1043/{len(whole.content)}"
    assert part.content == whole.content[44:1044]


async def _paid(http: httpx.AsyncClient, call: dict[str, Any]) -> None:
    """The lines, the cost, the usage and the balance."""
    lines = (await http.get("/v1/ledger", params={"callId": call["id"]})).json()["data"]
    assert {line["meter"] for line in lines} == {"telephony", "transcription", "voice"}
    assert all(line["amount"] > 0 and line["charged"] for line in lines)
    assert sum(_micros(line["amount"]) for line in lines) == _micros(call["cost"])
    usage = (await http.get("/v1/usage")).json()["data"]["total"]
    assert usage["calls"] == 1
    assert usage["cost"] == call["cost"]
    billed = {line["meter"]: line["quantity"] for line in lines}
    assert usage["telephonySeconds"] == billed["telephony"]
    assert usage["characters"] == billed["voice"]
    balance = (await http.get("/v1/balance")).json()["data"]
    assert balance["held"] == 0
    assert _micros(balance["balance"]) == DOLLARS * 1_000_000 - _micros(call["cost"])


def _micros(dollars: float) -> int:
    return round(dollars * 1_000_000)


@pytest.mark.timeout(180)
async def test_a_disk_that_is_full_in_mid_call_costs_the_recording_alone(
    tmp_path: Path, postgres_url: str, carrier: CarrierClient, afterwards: Afterwards
):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no limit can be set for another process here")
    rig = Rig(carrier, tmp_path, environment(carrier, postgres_url) | afterwards.env, postgres_url)
    await rig.start()
    try:
        await rig.prepare(**afterwards.agent)
        await afterwards.top_up(rig)
        assert rig.server is not None
        # Two seconds of sound. Its database is elsewhere, so only recordings grow here.
        pid, most = rig.server.process.pid, 64_000
        assert rig.server.output.stat().st_size < most / 2
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        talk: list[Step] = [Wait(ms=4_000), Say(sound="tone"), WaitQuiet(), HangUp()]
        await carrier.call(OURS, CALLER, Person(steps=talk))
        call = await over(rig)
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert call["durationSeconds"] >= 5
        # It went on after the loss: what the caller said then was heard.
        assert "user" in [line["role"] for line in call["transcript"]]
        told = await _told(afterwards)
        async with rig.http() as http:
            query = {"limit": 100}
            events = (await http.get(f"/v1/calls/{call['id']}/events", params=query)).json()
            left = await http.get(told["recordingUrl"])
        [failed] = [each for each in events["data"] if each["kind"] == "recording_failed"]
        assert failed["data"]["detail"] == "File too large"
        assert failed["atMs"] < 4_000
        with psycopg.connect(postgres_url) as database:
            row = database.execute("SELECT timeline FROM calls").fetchone()
        assert row is not None
        assert row[0]["recordingFault"] == "File too large"
        with wave.open(io.BytesIO(left.content)) as sound:
            assert 0 < sound.getnframes() / sound.getframerate() < 2.1
        assert await afterwards.problems(rig) == []
    finally:
        await rig.stop()
