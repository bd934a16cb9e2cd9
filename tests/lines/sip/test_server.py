"""The whole server with SIP: numbers over the API, calls with a real telephone, their records."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.server import Server, start
from tests.lines.sip.asterisk import asterisk, needs_asterisk
from tests.lines.sip.exchange import NUMBER
from tests.lines.sip.kamailio import PASSWORD, kamailio
from tests.lines.sip.peers import baresip, free_port, loudest_hz, needs_baresip, needs_kamailio

pytestmark = [needs_baresip, pytest.mark.timeout(180)]


@dataclass
class Office:
    server: Server
    http: httpx.AsyncClient
    sip_port: int
    agent_id: str

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/v1{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def got(self, path: str) -> Any:
        answer = await self.http.get(f"/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def number(self, **settings: Any) -> dict[str, Any]:
        return await self.made(
            "/phone-numbers", number=NUMBER, provider="sip", agentId=self.agent_id, **settings
        )

    async def until(self, path: str, reached: Any, seconds: float = 40) -> Any:
        """Asked anew until it is so."""
        deadline = time.monotonic() + seconds
        while True:
            found = await self.got(path)
            if reached(found):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.2)


@asynccontextmanager
async def office(folder: Path) -> AsyncGenerator[Office, None]:
    port = free_port()
    server = await asyncio.to_thread(
        start,
        folder / "server",
        CHORUS_SIMULATED="1",
        CHORUS_DRAIN_SECONDS="1",
        CHORUS_SIP_LISTEN=f"udp:127.0.0.1:{port}",
        CHORUS_SIP_RTP_PORTS="22000-22999",
    )
    try:
        async with httpx.AsyncClient(
            base_url=server.url, headers=server.headers, timeout=30
        ) as http:

            async def simulated(catalogue: str) -> str:
                found = (await http.get(f"/v1/{catalogue}?search=simulated")).json()["data"]
                return found[0]["id"]

            here = Office(server, http, port, "")
            agent = await here.made(
                "/agents",
                name="Reception",
                slmModelId=await simulated("slm-models"),
                voiceId=await simulated("voices"),
                firstSpeaker="agent",
                agentGreetingEnabled=True,
                agentGreeting="Good day, you are number {{sip_x_order_id}}, how can I help you?",
            )
            here.agent_id = agent["id"]
            yield here
    finally:
        assert await asyncio.to_thread(server.stop) == 0


async def _doctor(here: Office) -> str:
    """What `chorus doctor sip` prints, beside the server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chorus", "doctor", "sip",
        env={**os.environ, "CHORUS_DATA_DIR": str(here.server.data_dir)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


def _is_over(call: Any) -> bool:
    return call["endedAt"] is not None


async def test_a_call_in_and_a_call_out_are_held_and_recorded(tmp_path: Path) -> None:
    async with office(tmp_path) as here, baresip(tmp_path / "bob", hz=0) as bob:
        number = await here.number(sipMode="ip_allowlist", sipIp="127.0.0.1", sipPort=bob.port)
        await asyncio.sleep(4)  # the numbers are read every 3 s
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.sip_port}")
        await bob.happens("CALL_ESTABLISHED")
        (row,) = await here.until("/calls", lambda calls: calls)
        events = f"/calls/{row['id']}/events"
        for command, until in (("", "reply_started"), ("hold", "leg_held"),
                               ("resume", "reply_heard")):  # fmt: skip
            if command:
                bob.command(command)
            await here.until(events, lambda told, until=until: until in str(told))
        bob.command("hangup")
        (row,) = await here.until("/calls", lambda calls: calls and _is_over(calls[0]))
        call = await here.got(f"/calls/{row['id']}")
        assert (call["provider"], call["direction"]) == ("sip", "inbound")
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert call["customerNumber"] == "+4940999"
        said = [line["content"] for line in call["transcript"] if line["role"] == "assistant"]
        assert said[0].startswith("Good day")
        assert said[0].endswith("how can I help you?")
        kinds = [event["kind"] for event in await here.got(events)]
        story = [
            k for k in kinds if k in ("reply_started", "leg_held", "leg_resumed", "reply_heard")
        ]
        assert story == ["reply_started", "leg_held", "leg_resumed", "reply_heard"]
        assert call["recordingUrl"]
        call = await here.until(f"/calls/{row['id']}", lambda c: c["lineQuality"])
        assert call["lineQuality"]["codec"] == "PCMU"
        assert call["lineQuality"]["packetsReceived"] > 50
        assert call["lineQuality"]["mos"] > 3
        # Out.
        placed = await here.made(
            "/calls", agentId=here.agent_id, phoneNumberId=number["id"], to="+4940999",
            contextVariables={"sip_x_order_id": "9"},
        )  # fmt: skip
        await bob.happens("CALL_ESTABLISHED", count=2)
        await asyncio.sleep(3)
        bob.command("hangup")
        call = await here.until(f"/calls/{placed['id']}", _is_over)
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert call["callSid"]
        # Refused, with the reason.
        refused = await here.made(
            "/calls", agentId=here.agent_id, phoneNumberId=number["id"], to="+4940111"
        )
        call = await here.until(f"/calls/{refused['id']}", _is_over)
        assert (call["status"], call["endedReason"]) == ("failed", "provider_error")
        events = await here.got(f"/calls/{refused['id']}/events")
        assert "SIP 404" in str(events)


@needs_kamailio
async def test_the_api_shows_how_a_number_is_registered(tmp_path: Path) -> None:
    async with kamailio(tmp_path / "pbx") as port, office(tmp_path) as here:
        number = await here.number(
            sipUsername=NUMBER, sipPassword="wrong", sipProxy=f"127.0.0.1:{port}"
        )
        assert number["registration"] is None
        path = f"/phone-numbers/{number['id']}"
        failed = await here.until(path, lambda n: n["registration"])
        assert failed["registration"]["state"] == "failed"
        assert "password" in failed["registration"]["lastError"]
        await here.http.patch(f"/v1{path}", json={"sipPassword": PASSWORD})
        good = await here.until(
            path, lambda n: (n["registration"] or {}).get("state") == "registered"
        )
        assert good["registration"]["lastError"] is None
        assert good["registration"]["expiresAt"] > good["registration"]["since"]
        assert "wrong" not in str(good)
        assert PASSWORD not in str(good)
        said = await _doctor(here)
        assert f"ok       {NUMBER}: 127.0.0.1 answers OPTIONS over udp: " in said
        assert " by kamailio" in said
        assert f"ok       {NUMBER}: is registered as {NUMBER}" in said
        assert PASSWORD not in said


@needs_asterisk
@pytest.mark.slow
async def test_a_caller_is_handed_over_by_the_pbx(tmp_path: Path) -> None:
    """A cold transfer with `merge: release`: REFER, and Asterisk connects the two."""
    with asterisk() as pbx:
        async with (
            office(tmp_path) as here,
            baresip(tmp_path / "bob", pbx.account("1002"), hz=440) as bob,
            baresip(tmp_path / "carol", pbx.account("1003"), hz=700) as carol,
        ):
            settings = pbx.settings()
            number = await here.number(**settings)
            path = f"/phone-numbers/{number['id']}"
            await here.until(path, lambda n: (n["registration"] or {}).get("state") == "registered")
            bob.command("dial", f"sip:1001@127.0.0.1:{pbx.port}")
            await bob.happens("CALL_ESTABLISHED")
            (row,) = await here.until(
                "/calls", lambda calls: calls and calls[0]["status"] == "in_progress" and calls
            )
            target = {"name": "Carol", "number": "+4940111", "type": "cold", "merge": "release"}
            answer = await here.http.post(f"/v1/calls/{row['id']}/transfer", json={"to": target})
            assert answer.status_code == 202, answer.text
            await carol.happens("CALL_ESTABLISHED")
            call = await here.until(f"/calls/{row['id']}", _is_over)
            assert (call["status"], call["endedReason"]) == ("completed", "transferred")
            # The two talk with each other now, and Chorus has left.
            async with asyncio.timeout(20):
                while loudest_hz(bob.heard()[-8000:]) != pytest.approx(700, abs=10):
                    await asyncio.sleep(0.1)
            bob.command("hangup")
            await carol.happens("CALL_CLOSED")
