"""The whole server with carriers that have stand-ins: numbers, calls, and their records."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from array import array
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.fakes.server import Server, start
from tests.lines.jambonz import standin as jambonz_standin
from tests.lines.jambonz import standin_call as jambonz_call
from tests.lines.jambonz.board import settings as jambonz_settings
from tests.lines.telnyx import standin as telnyx_standin
from tests.lines.telnyx.board import settings as telnyx_settings
from tests.lines.telnyx.standin_stream import SILENCE
from tests.lines.voximplant.board import settings as voximplant_settings
from tests.lines.voximplant.board import standin as voximplant_standin

pytestmark = [pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

OURS, THEIRS = "+15550001000", "+15559990000"
HANDS_ON = "+15550001001"
SALES = {"name": "Sales", "number": "+15551116666", "merge": "release"}


@dataclass
class Office:
    server: Server
    http: httpx.AsyncClient
    agent_id: str = ""

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/v1{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def got(self, path: str) -> Any:
        answer = await self.http.get(f"/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def asked(self, path: str, **body: Any) -> None:
        answer = await self.http.post(f"/v1{path}", json=body)
        assert answer.status_code == 202, answer.text

    async def simulated(self, catalogue: str) -> str:
        return (await self.got(f"/{catalogue}?search=simulated"))[0]["id"]

    async def until(self, path: str, reached: Any, seconds: float = 30) -> Any:
        """Asked anew until it is so."""
        deadline = time.monotonic() + seconds
        while True:
            found = await self.got(path)
            if reached(found):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Office]:
    server = await asyncio.to_thread(
        start,
        tmp_path_factory.mktemp("server"),
        CHORUS_SIMULATED="1",
        CHORUS_DRAIN_SECONDS="1",
        CHORUS_ALLOW_PRIVATE_ADDRESSES="1",
    )
    try:
        async with httpx.AsyncClient(
            base_url=server.url, headers=server.headers, timeout=30
        ) as http:
            here = Office(server, http)
            agent = await here.made(
                "/agents",
                name="Reception",
                slmModelId=await here.simulated("slm-models"),
                voiceId=await here.simulated("voices"),
                firstSpeaker="agent",
                agentGreetingEnabled=True,
                agentGreeting="Good day, you are number {{sip_x_order_id}}, how can I help you?",
            )
            here.agent_id = agent["id"]
            yield here
    finally:
        assert await asyncio.to_thread(server.stop) == 0


async def _doctor(office: Office) -> tuple[int | None, str]:
    """What `chorus doctor carriers` says, beside the server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chorus", "doctor", "carriers",
        env={
            **os.environ,
            "CHORUS_DATA_DIR": str(office.server.data_dir),
            "CHORUS_ALLOW_PRIVATE_ADDRESSES": "1",
        },
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()


def _is_over(call: Any) -> bool:
    return call["endedAt"] is not None


def _said(call: Any) -> str:
    return next(line["content"] for line in call["transcript"] if line["role"] == "assistant")


async def test_jambonz_calls_in_and_out_are_held_and_recorded(office: Office) -> None:
    async with jambonz_standin.running() as jambonz:
        number = await office.made(
            "/phone-numbers",
            number=OURS,
            provider="jambonz",
            agentId=office.agent_id,
            **jambonz_settings(jambonz.url),
        )
        hook = f"{office.server.url}/jambonz/call"
        status_hook = f"{office.server.url}/jambonz/status"
        sip = {"headers": {"X-Order-Id": "77"}}
        ringing = jambonz.ring(hook, status_hook, OURS, THEIRS, sip)
        await ringing.wait("listening", 15)
        assert ringing.stream is not None
        while not any(ringing.stream.heard):
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        ringing.hang_up()
        await ringing.wait("over", status="completed")
        (row,) = await office.until("/calls", lambda calls: calls and _is_over(calls[0]))
        call = await office.got(f"/calls/{row['id']}")
        assert (call["provider"], call["direction"]) == ("jambonz", "inbound")
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert (call["customerNumber"], call["callSid"]) == (THEIRS, ringing.sid)
        assert call["contextVariables"] == {"sip_x_order_id": "77"}
        assert _said(call).startswith("Good day")
        # Out, and ended over the API.
        placed = await office.made(
            "/calls", agentId=office.agent_id, phoneNumberId=number["id"], to=THEIRS
        )
        await office.until(f"/calls/{placed['id']}", lambda c: c["status"] == "in_progress")
        (out,) = jambonz.placed
        await out.wait("listening")
        assert out.stream is not None
        out.stream.mic += array("h", [6000, -6000] * 4000).tobytes()
        await asyncio.sleep(1)
        answer = await office.http.post(f"/v1/calls/{placed['id']}/hangup")
        assert answer.status_code in (200, 202, 204), answer.text
        await out.wait("over", 10, status="completed")
        call = await office.until(f"/calls/{placed['id']}", _is_over)
        assert call["status"] == "completed"
        assert call["callSid"] == out.sid
        # Refused, with the reason and the code.
        jambonz.person = jambonz_call.Person(answer=486)
        placed = await office.made(
            "/calls", agentId=office.agent_id, phoneNumberId=number["id"], to=THEIRS
        )
        call = await office.until(f"/calls/{placed['id']}", _is_over)
        assert (call["status"], call["endedReason"]) == ("failed", "busy")
        assert call["endedDetail"] == "SIP 486 Busy Here"


async def test_voximplant_calls_in_and_out_are_held_and_recorded(
    office: Office, tmp_path: Path
) -> None:
    async with voximplant_standin(tmp_path) as voximplant:
        voximplant.serves(office.server.url)
        number = await office.made(
            "/phone-numbers",
            number=OURS,
            provider="voximplant",
            agentId=office.agent_id,
            **voximplant_settings(voximplant.url),
        )
        id = await voximplant.ring(**{"X-Order-Id": "77"})
        ringing = await voximplant.listening(id)
        while not (await voximplant.heard(id)).replace(b"\xff", b""):
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        await voximplant.do("hangup", id=id)
        await voximplant.until(id, lambda call: call["over"])
        of_number = f"/calls?phoneNumberId={number['id']}"
        (row,) = await office.until(of_number, lambda calls: calls and _is_over(calls[0]))
        call = await office.got(f"/calls/{row['id']}")
        assert (call["provider"], call["direction"]) == ("voximplant", "inbound")
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert (call["customerNumber"], call["callSid"]) == (THEIRS, ringing["leg"])
        assert call["contextVariables"] == {"sip_x_order_id": "77"}
        assert _said(call).startswith("Good day")
        # Out, and ended over the API.
        placed = await office.made(
            "/calls", agentId=office.agent_id, phoneNumberId=number["id"], to=THEIRS
        )
        await office.until(f"/calls/{placed['id']}", lambda c: c["status"] == "in_progress")
        await voximplant.listening(id + 1)
        answer = await office.http.post(f"/v1/calls/{placed['id']}/hangup")
        assert answer.status_code in (200, 202, 204), answer.text
        await voximplant.until(id + 1, lambda call: call["over"])
        call = await office.until(f"/calls/{placed['id']}", _is_over)
        assert call["status"] == "completed"
        # jambonz is not there any more.
        status, says = await _doctor(office)
        assert status == 1
        assert f"ok       {OURS} at voximplant: the carrier takes these settings" in says
        assert f"PROBLEM  {OURS} at jambonz: jambonz gave no clear answer" in says
        # Refused, with the reason and the code.
        await voximplant.do("board", person={"answer": 486, "reason": "Busy Here"})
        placed = await office.made(
            "/calls", agentId=office.agent_id, phoneNumberId=number["id"], to=THEIRS
        )
        call = await office.until(f"/calls/{placed['id']}", _is_over)
        assert (call["status"], call["endedReason"]) == ("failed", "busy")
        assert call["endedDetail"] == "SIP 486 Busy Here"


async def test_telnyx_calls_in_and_out_are_held_and_recorded(office: Office) -> None:
    async with telnyx_standin.running() as telnyx:
        number = await office.made(
            "/phone-numbers",
            number=OURS,
            provider="telnyx",
            agentId=office.agent_id,
            **telnyx_settings(telnyx.url),
        )
        hook = f"{office.server.url}/telnyx/events"
        ringing = telnyx.ring(hook, OURS, THEIRS, **{"X-Order-Id": "77"})
        await ringing.wait("streaming", 15)
        assert ringing.stream is not None
        while not ringing.stream.heard.replace(SILENCE, b""):
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        ringing.hang_up()
        await ringing.wait("over")
        of_number = f"/calls?phoneNumberId={number['id']}"
        (row,) = await office.until(of_number, lambda calls: calls and _is_over(calls[0]))
        call = await office.got(f"/calls/{row['id']}")
        assert (call["provider"], call["direction"]) == ("telnyx", "inbound")
        assert (call["status"], call["endedReason"]) == ("completed", "customer_ended")
        assert (call["customerNumber"], call["callSid"]) == (THEIRS, ringing.id)
        assert call["contextVariables"] == {"sip_x_order_id": "77"}
        assert _said(call).startswith("Good day")
        # Out, and ended over the API.
        placed = await office.made(
            "/calls", agentId=office.agent_id, phoneNumberId=number["id"], to=THEIRS
        )
        await office.until(f"/calls/{placed['id']}", lambda c: c["status"] == "in_progress")
        (out,) = telnyx.placed
        await out.wait("streaming")
        answer = await office.http.post(f"/v1/calls/{placed['id']}/hangup")
        assert answer.status_code in (200, 202, 204), answer.text
        await out.wait("over", 10, cause="normal_clearing")
        call = await office.until(f"/calls/{placed['id']}", _is_over)
        assert (call["status"], call["callSid"]) == ("completed", out.id)
        # Refused, with the reason and the code.
        telnyx.person = telnyx_standin.Person("user_busy", "486")
        placed = await office.made(
            "/calls", agentId=office.agent_id, phoneNumberId=number["id"], to=THEIRS
        )
        call = await office.until(f"/calls/{placed['id']}", _is_over)
        assert (call["status"], call["endedReason"]) == ("failed", "busy")
        assert call["endedDetail"] == "SIP 486 Busy Here"
        # The carrier is asked, and says what to mend.
        checked = f"/v1/phone-numbers/{number['id']}/check"
        telnyx.application["webhook_event_url"] = "https://old.example/hook"
        telnyx.numbers[OURS] = telnyx_standin.APPLICATION
        found = (await office.http.post(checked)).json()["data"]
        assert not found["ok"]
        states = {each["what"]: each["state"] for each in found["findings"]}
        assert states == {"settings": "problem", "address": "problem", "calls": "ok"}
        assert "it has to be" in found["findings"][0]["says"]
        telnyx.application["webhook_event_url"] = hook
        found = (await office.http.post(checked)).json()["data"]
        assert found["findings"][0]["state"] == "ok"


async def _talked_on(office: Office, number: dict[str, Any]) -> str:
    """The id of the number's only call, once it is."""
    of_number = f"/calls?phoneNumberId={number['id']}"
    [call] = await office.until(
        of_number, lambda calls: calls and calls[0]["status"] == "in_progress"
    )
    return call["id"]


async def _released(office: Office, id: str, type: str) -> dict[str, Any]:
    """The call, once it is over here because its carrier has the caller."""
    call = await office.until(f"/calls/{id}", lambda c: _is_over(c) and c["cost"] is not None)
    assert (call["status"], call["endedReason"]) == ("completed", "transferred")
    assert (call["transferType"], call["transferStatus"]) == (type, "completed")
    return call


async def _counted(office: Office, call: dict[str, Any]) -> None:
    """What it lasted at its carrier, which is longer than here, is in the ledger."""

    def over(events: Any) -> list[Any]:
        return [event["data"] for event in events if event["kind"] == "released_over"]

    events = await office.until(f"/calls/{call['id']}/events?limit=100", over)
    [said] = over(events)
    assert said["durationSeconds"] > call["durationSeconds"]
    await office.until(
        f"/ledger?callId={call['id']}&meter=telephony",
        lambda lines: sum(line["quantity"] for line in lines) == said["durationSeconds"],
    )


async def test_jambonz_has_two_whom_it_was_asked_to_connect(office: Office) -> None:
    async with jambonz_standin.running() as jambonz:
        number = await office.made(
            "/phone-numbers",
            number=HANDS_ON,
            provider="jambonz",
            agentId=office.agent_id,
            **jambonz_settings(jambonz.url),
        )
        url = office.server.url
        caller = jambonz.ring(f"{url}/jambonz/call", f"{url}/jambonz/status", HANDS_ON, THEIRS)
        id = await _talked_on(office, number)
        await office.asked(f"/calls/{id}/transfer", to=SALES | {"type": "warm"}, reason="Chairs.")
        await office.until(f"/calls/{id}", lambda c: c["transferStatus"] == "briefing")
        [person] = jambonz.placed
        await person.wait("listening", 15)
        assert person.stream is not None
        while not any(person.stream.heard):
            await asyncio.sleep(0.05)
        await person.stream.press("1")
        await person.wait("joined", 20, members=1)
        await caller.wait("joined", 20, members=2)
        call = await _released(office, id, "warm")
        [leg] = call["transferCalls"]
        assert (leg["customerNumber"], leg["transferStatus"]) == (SALES["number"], "completed")
        leg = await office.got(f"/calls/{leg['id']}")
        assert (leg["parentCallId"], leg["endedReason"]) == (id, "transferred")
        person.say(b"a sentence of theirs")
        assert bytes(caller.heard_there) == b"a sentence of theirs"
        await asyncio.sleep(2)  # which they talk
        person.hang_up()
        for each in (caller, person):
            await each.wait("over", 10, status="completed")
        assert (jambonz.calls, jambonz.rooms) == ({}, {})
        for each in (call, leg):
            await _counted(office, each)


async def test_telnyx_has_a_caller_once_somebody_answers(office: Office) -> None:
    """At first somebody is busy, and the agent goes on."""
    async with telnyx_standin.running() as telnyx:
        number = await office.made(
            "/phone-numbers",
            number=HANDS_ON,
            provider="telnyx",
            agentId=office.agent_id,
            **telnyx_settings(telnyx.url),
        )
        caller = telnyx.ring(f"{office.server.url}/telnyx/events", HANDS_ON, THEIRS)
        id = await _talked_on(office, number)
        telnyx.person = telnyx_standin.Person("user_busy", "486")
        transfer = {"to": SALES | {"type": "cold"}, "reason": "Chairs."}
        await office.asked(f"/calls/{id}/transfer", **transfer)
        await office.until(f"/calls/{id}", lambda c: c["transferStatus"] == "no_answer")
        await caller.wait("command", 15, action="streaming_start")
        while len(caller.streams) < 2 or not caller.streams[1].heard.replace(SILENCE, b""):
            await asyncio.sleep(0.05)
        assert (await office.got(f"/calls/{id}"))["status"] == "in_progress"
        telnyx.person = telnyx_standin.Person()
        await office.asked(f"/calls/{id}/transfer", **transfer)
        call = await _released(office, id, "cold")
        assert call["transferCalls"] == []
        person = caller.bridged
        assert person is not None
        await asyncio.sleep(2)  # which they talk
        assert not caller.over.is_set()
        person.hang_up()
        for each in (caller, person):
            await each.wait("over", 10, cause="normal_clearing")
        assert telnyx.calls == {}
        assert "hangup" not in [action for action, _ in caller.commands]
        await _counted(office, call)
