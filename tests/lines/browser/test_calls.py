"""Browser calls on the real server: real sockets, real engines, sound that is really spoken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.fakes.server import Server, serving
from tests.lines.browser.page import Page
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chorus.audio.codec import decode, rms
from chorus.audio.frame import MULAW_8K
from chorus.audio.resample import Converter
from chorus.demo.voices import recite

pytestmark = pytest.mark.timeout(120)

SAID = "Saturday would be better for me"
SCRIPT = """You arrange deliveries.

script:
when caller says "{day} would be better for me": say "Then {day} it is. Goodbye." and end
otherwise: say "Sorry, could you say that again?"
"""
LONG = "One moment please. " + "I have a great many things to tell you before you may speak. " * 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # With a telephone network, for whom a caller is handed to.
    with serving(tmp_path_factory.mktemp("browser"), CHORUS_SIMULATED="1") as running:
        yield running


@pytest.fixture(scope="module")
def agent_id(server: Server) -> str:
    """One that says as good as nothing as it is saved."""
    agent = {"name": "Front desk", "systemPrompt": "You say nothing.", "isActive": False}
    with server.client() as http:
        script = http.get("/v1/slm-models?search=script").json()["data"][0]["id"]
        made = http.post("/v1/agents", json=agent | {"slmModelId": script})
        assert made.status_code == 201, made.text
        return made.json()["data"]["id"]


@asynccontextmanager
async def calling(
    server: Server, agent_id: str, format: str = "pcm16/16000", **agent: Any
) -> AsyncGenerator[Page]:
    wish = {"agentId": agent_id, "agent": agent, "metadata": {"why": "a test"}}
    with server.client() as http:
        begun = http.post("/v1/calls/test", json=wish)
    assert begun.status_code == 201, begun.text
    page = Page(begun.json()["data"], format)
    await page.open()
    try:
        yield page
    finally:
        await page.close()


async def record(server: Server, page: Page) -> dict[str, Any]:
    """The call once it is over and paid for."""
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers) as http:
        async with asyncio.timeout(30):
            while True:
                call = (await http.get(f"/v1/calls/{page.begun['callId']}")).json()["data"]
                if call["endedAt"] and call["cost"] is not None:
                    return call
                await asyncio.sleep(0.1)


async def noted(server: Server, page: Page, kind: str) -> dict[str, Any]:
    """What the first event of this kind in the call's record holds, once it is there."""
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers) as http:
        async with asyncio.timeout(20):
            while True:
                path = f"/v1/calls/{page.begun['callId']}/events?limit=100"
                for event in (await http.get(path)).json()["data"]:
                    if event["kind"] == kind:
                        return event["data"]
                await asyncio.sleep(0.1)


def greets(text: str) -> dict[str, Any]:
    return {"firstSpeaker": "agent", "agentGreetingEnabled": True, "agentGreeting": text}


async def speech(page: Page, text: str) -> bytes:
    spoken = (await recite([text]))[text]
    return Converter(MULAW_8K, page.format).feed(spoken)


@pytest.mark.parametrize("format", ["pcm16/24000", "mulaw/8000"])
async def test_a_conversation_with_what_is_not_saved(server: Server, agent_id: str, format: str):
    draft = greets("Hello. When shall we come?") | {"systemPrompt": SCRIPT}
    async with calling(server, agent_id, format, **draft) as page:
        greeting = await page.event("reply_heard")
        assert greeting["heard"] == "Hello. When shall we come?"
        assert rms(decode(page.format, bytes(page.heard))) > 300
        page.microphone += await speech(page, SAID)
        committed = await page.event("turn_committed")
        assert "saturday" in committed["text"].lower()
        ended = await page.told("ended")
        assert ended["reason"] == "ended"
        call = await record(server, page)
    assert (call["provider"], call["direction"], call["status"]) == (
        "browser",
        "inbound",
        "completed",
    )
    assert (call["endedReason"], call["customerNumber"]) == ("agent_ended", "browser")
    assert call["metadata"] == {"why": "a test"}
    assert call["phoneNumberId"] is None
    said = [entry["content"] for entry in call["transcript"]]
    assert said[0] == "Hello. When shall we come?"
    assert "then saturday it is" in said[-1].lower()
    # All of the goodbye was played before the socket was closed.
    heard_ms = sum(m["data"]["heardMs"] for m in page.messages if m.get("kind") == "reply_heard")
    assert page.format.ms(len(page.heard)) == pytest.approx(heard_ms, abs=60)
    with server.client() as http:
        saved = http.get(f"/v1/agents/{agent_id}").json()["data"]
        assert saved["systemPrompt"] == "You say nothing."
        recording = http.get(call["recordingUrl"])
        assert recording.status_code == 200
        assert len(recording.content) > 50_000


async def test_what_was_heard_of_an_interrupted_reply_is_what_was_played(
    server: Server, agent_id: str
):
    async with calling(server, agent_id, **greets(LONG)) as page:
        await page.played(1500)
        page.microphone += await speech(page, "Stop it now, I would like to say something please")
        heard = await page.event("reply_heard")
        assert heard["interrupted"]
        assert heard["unsaid"]
        # It was silenced more often than once if the first was taken for a back-channel.
        last = max(epoch for epoch, ms in page.last_ms.items() if ms)
        played_ms = sum(ms for epoch, ms in page.last_ms.items() if epoch <= last)
        assert page.last_ms[0] < 5500
        assert heard["heardMs"] <= played_ms + 40
        if last == 0:
            assert heard["heardMs"] == pytest.approx(played_ms, abs=40)
        await page.send({"type": "stop"})
        ended = await page.told("ended")
        assert ended["reason"] == "hung_up"
        assert (await record(server, page))["endedReason"] == "customer_ended"


async def test_a_lost_connection_is_resumed_and_nothing_of_the_sound_is_missing(
    server: Server, agent_id: str
):
    async with calling(server, agent_id, "mulaw/8000", **greets(LONG)) as page:
        await page.played(800)
        await page.lose()
        await asyncio.sleep(1.0)  # longer than what had been sent ahead
        before_ms = page.format.ms(len(page.heard))
        assert before_ms < 2300
        stranger = Page(page.begun)
        await stranger.resume("a guess")
        assert (await stranger.told("ended"))["reason"] == "not_here"
        await page.resume()
        heard = await page.event("reply_heard", 30)
        assert not heard.get("interrupted")
        assert heard["heard"] == LONG.strip()
        assert page.format.ms(len(page.heard)) == pytest.approx(heard["heardMs"], abs=40)

        # A second socket takes the place of the first, which is told so.
        old = page.socket
        await page.resume()
        assert (await page.told("ended"))["reason"] == "taken_over"
        assert old is not None
        assert page.socket is not old
        page.messages.clear()
        async with httpx.AsyncClient(base_url=server.url, headers=server.headers) as http:
            ended = await http.post(f"/v1/calls/{page.begun['callId']}/hangup", json={})
            assert ended.status_code == 202, ended.text
        assert (await page.told("ended"))["reason"] == "ended"
        assert (await record(server, page))["endedReason"] == "operator_ended"


async def test_strangers_get_nowhere(server: Server, agent_id: str):
    with server.client() as http:
        begun = http.post("/api/calls/test", json={"agentId": agent_id}).json()["data"]
    elsewhere = Page(begun)
    with pytest.raises(InvalidStatus):
        await elsewhere.open(origin="https://evil.example")
    wrong = Page(begun | {"token": "x" * 43})
    await wrong.open()
    assert (await wrong.told("ended"))["reason"] == "refused"
    await wrong.close()
    ours = Page(begun)
    await ours.open(origin=server.url)
    await ours.told("started")
    again = Page(begun)
    await again.open()
    refused = await again.told("ended")
    assert (refused["reason"], refused["detail"]) == (
        "refused",
        "the token is wrong, used up or too old",
    )
    await again.close()
    # What is no audio is not taken for any, and the call goes on.
    await ours.send_bytes(b"odd")
    await ours.send_bytes(bytes(100_000))
    await ours.send({"type": "ping", "t": 5})
    assert (await ours.told("pong"))["t"] == 5
    await ours.send({"type": "stop"})
    await ours.told("ended")
    await ours.close()


async def test_a_caller_in_a_browser_is_handed_to_a_person(server: Server):
    """From a number that its agent answers; without one nobody is called."""
    sales = {"name": "Sales", "number": "+14155550101", "type": "cold"}
    agent = {"name": "Desk", "transferTargets": [sales], "isActive": False}
    with server.client() as http:
        made = http.post("/v1/agents", json=agent).raise_for_status().json()["data"]
        async with calling(server, made["id"], **greets("Good day.")) as page:
            await page.event("reply_heard")
            wish = f"/v1/calls/{page.begun['callId']}/transfer"
            http.post(wish, json={"target": "Sales"}).raise_for_status()
            failed = await noted(server, page, "transfer_failed")
            assert "phone number to call from" in failed["detail"]

            ours = {"number": "+14155550100", "provider": "loopback", "agentId": made["id"]}
            http.post("/v1/phone-numbers", json=ours).raise_for_status()
            http.post(wish, json={"target": "Sales"}).raise_for_status()
            rings = await asyncio.to_thread(
                http.get, "/loopback/ringing", params={"to": sales["number"]}
            )
            [leg] = rings.json()
            async with connect(f"{server.ws_url}{leg['mediaPath']}", max_queue=None) as person:
                await person.send(json.dumps({"event": "start", "legId": leg["legId"]}))
                before = len(page.heard)
                await noted(server, page, "transfer_connected")
                said = "Sales, how can I help?"
                voice = (await recite([said]))[said]
                for at in range(0, len(voice), 160):
                    await person.send(voice[at : at + 160])
                    await asyncio.sleep(0.02)
                assert rms(decode(page.format, bytes(page.heard[before:]))) > 300
        call = await record(server, page)
    assert (call["endedReason"], call["transferStatus"]) == ("transferred", "completed")
    [second] = call["transferCalls"][-1:]
    assert second["customerNumber"] == sales["number"]


async def test_what_can_be_done_for_the_person_is_up_to_the_carrier_that_calls_them(server: Server):
    """And not to the browser, which calls nobody; it is the browser that cannot be left out of
    the call once they talk."""
    jambonz = {
        "jambonzAccountSid": "an account",
        "jambonzApiKey": "a key",
        "jambonzBaseUrl": "https://jambonz.example/api/v1",
        "jambonzWebhookSecret": "a secret of the tests",
    }
    voximplant = {
        "voximplantAccountId": "12345",
        "voximplantApiKey": "a key",
        "voximplantRuleId": "67890",
        "voximplantScenarioSecret": "a secret of the tests",
    }
    numbers = (
        {"number": "+14155550111", "provider": "jambonz", **jambonz},
        {"number": "+14155550112", "provider": "voximplant", **voximplant},
    )
    person = {
        "name": "Desk",
        "number": "sip:200@pbx.example.com",
        "type": "warm",
        "merge": "release",
        "headers": [{"key": "X-Reason", "value": "chairs"}],
        "callerId": "caller",
    }
    refused = list[str]()
    with server.client() as http:
        for number in numbers:
            made = http.post("/v1/agents", json={"name": "Desk", "isActive": False}).json()["data"]
            answer = http.post("/v1/phone-numbers", json={**number, "agentId": made["id"]})
            assert answer.status_code == 201, answer.text
            async with calling(server, made["id"], **greets("Good day.")) as page:
                wish = f"/v1/calls/{page.begun['callId']}/transfer"
                answer = http.post(wish, json={"to": person})
                assert answer.status_code == 400
                refused.append(answer.text)
    assert "to.merge" in refused[0]
    assert "browser cannot connect two calls" in refused[0]
    assert "to.headers" in refused[1]
    assert "voximplant" in refused[1]
