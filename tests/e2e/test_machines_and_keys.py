"""Who answers, and the keys of the telephone, through a whole server: a mailbox gets its message
after the beep, a menu is gone through with tones, and what a caller enters in secret is nowhere.

One server has all calls, at the same time.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standardwebhooks import Webhook
from tests.calls.test_live_calls import stored
from tests.e2e.test_after_call import engine
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.lines.test_dtmf import key_heard
from tests.soak.afterwards import SECRET, Afterwards
from tests.soak.rig import Rig, environment

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.demo.carrier import client
from chorus.demo.carrier.person import HangUp, Person, Press, Step, Wait, WaitQuiet, say
from chorus.demo.voices import recite
from chorus.lines.dtmf import GAP_MS, TONE_MS
from chorus.webhooks.sign import key_of

pytestmark = pytest.mark.timeout(180)

MAILBOX, MENU, CALLER = "+15558880001", "+15558880002", "+15558880003"
GREETING = "please leave a message after the tone"
OPTIONS = "for sales press one for support press two"
ASKS = "please check my order"
TEMPLATE = "Your roses are ready, {{name}}. Thank you."
MESSAGE = TEMPLATE.replace("{{name}}", "Anna")
BEEP = codec.encode(
    MULAW_8K, (9000 * np.sin(2 * np.pi * 1000 / 8000 * np.arange(4000))).astype("<i2").tobytes()
)
PIN = "84*137"
AS_IN_URL = "84%2A137"
LOUD = 1000
LISTENS = f"""script:
when caller says "{GREETING}": say "Hello?"
when caller says "{OPTIONS}": call press_keys with keys = "2"
otherwise: say "Hello?"
"""
CHECKS = f"""script:
when caller says "{ASKS}": say "Enter your pin."; call collect_keys with input = "pin"
when caller says "pressed": call check_pin; then say "It said {{result.echo}}. Goodbye."; end
otherwise: say "What do you want?"
"""
"""The variable of the same name is in the tool's URL and header."""
AGENTS: dict[str, dict[str, Any]] = {
    MAILBOX: {
        "systemPrompt": LISTENS,
        "answering": {"mailbox": "leave_message", "message": TEMPLATE},
    },
    MENU: {"systemPrompt": LISTENS, "answering": {"menu": "navigate"}, "allowPressKeys": True},
    CALLER: {
        "systemPrompt": CHECKS,
        "keyInputs": [
            {"name": "pin", "description": "Who they are", "maxLength": 6, "secret": True}
        ],
    },
}


async def test_machines_and_keys(tmp_path: Path):
    async with (
        client.running() as carrier,
        Afterwards(tmp_path) as afterwards,
        HttpPeer(echo) as shop,
    ):
        debug = {"CHORUS_LOG_LEVEL": "debug"}
        rig = Rig(carrier, tmp_path, environment(carrier, None) | afterwards.env | debug, None)
        await rig.start()
        try:
            await rig.prepare()
            await afterwards.top_up(rig)
            agents = await prepared(rig, afterwards, shop.url)
            words = await recite([GREETING, OPTIONS, ASKS])
            patient: list[Step] = [Wait(ms=60_000), HangUp()]
            people: dict[str, list[Step]] = {
                MAILBOX: [say(words[GREETING]), Wait(ms=300), say(BEEP), *patient],
                MENU: [say(words[OPTIONS])],  # and listens until it is told to hang up
                CALLER: [
                    *(WaitQuiet(), say(words[ASKS]), WaitQuiet(), Press(digits=PIN)),
                    *patient,
                ],
            }
            for number, steps in people.items():
                wish = {"agentId": agents[number], "contextVariables": {"name": "Anna"}}
                assert await rig.place(number, Person(steps=steps), **wish)
            await asyncio.gather(
                a_mailbox_has_the_message_after_the_beep(rig),
                a_menu_hears_the_key(rig),
                what_is_entered_in_secret_reaches_the_tool(rig, shop),
            )
            told = await news(afterwards, len(people))
            for number in people:
                call = await shown(rig, number)
                assert told[call["id"]]["answeredBy"] == call["answeredBy"]
                assert told[call["id"]]["endedReason"] == call["endedReason"]
            await nowhere(rig, tmp_path, afterwards)
            assert await afterwards.problems(rig) == []
        finally:
            await rig.stop()


async def echo(asked: Asked) -> AsyncIterator[bytes]:
    """Repeats the secret in both forms, as a careless server does."""
    yield respond(200, {"echo": asked.headers["x-pin"], "target": asked.target})


async def prepared(rig: Rig, afterwards: Afterwards, shop: str) -> dict[str, str]:
    """The agents by the number that they call."""
    made: dict[str, str] = {}
    common = {
        **afterwards.agent,
        "slmModelId": await engine(rig, "slm-models", "script"),
        "voiceId": await engine(rig, "voices", "simulated"),
        "firstSpeaker": "agent",
        "agentGreetingEnabled": True,
        "agentGreeting": "Good day.",
    }
    config = {
        "url": f"{shop}/pins/{{{{pin}}}}",
        "method": "GET",
        "headers": [{"key": "X-Pin", "value": "{{pin}}"}],
    }
    async with rig.http() as http:
        tool = {"name": "check_pin", "description": "Who they are", "config": config}
        answer = await http.post("/v1/tools", json=tool)
        assert answer.status_code == 201, answer.text
        tools = {CALLER: [answer.json()["data"]["id"]]}
        for number, fields in AGENTS.items():
            agent = {"name": number, **common, **fields, "toolIds": tools.get(number, [])}
            answer = await http.post("/v1/agents", json=agent)
            assert answer.status_code == 201, answer.text
            made[number] = answer.json()["data"]["id"]
    return made


async def shown(rig: Rig, number: str) -> dict[str, Any]:
    """A call, once it is over and paid for."""
    async with asyncio.timeout(60), rig.http() as http:
        while True:
            call = (await http.get(f"/v1/calls/{rig.accepted[number]}")).json()["data"]
            if call["cost"] is not None:
                return call
            await asyncio.sleep(0.1)


async def news(afterwards: Afterwards, count: int) -> dict[str, dict[str, Any]]:
    """What the webhooks said, by call."""
    async with asyncio.timeout(40):
        while len({asked.json["callId"] for asked in afterwards.news}) < count:
            await asyncio.sleep(0.1)
    read = [Webhook(key_of(SECRET)).verify(a.body, a.headers) for a in afterwards.news]
    return {each["callId"]: each for each in read}


async def a_mailbox_has_the_message_after_the_beep(rig: Rig) -> None:
    call = await shown(rig, MAILBOX)
    assert (call["status"], call["endedReason"]) == ("completed", "voicemail")
    assert call["answeredBy"]["who"] == "mailbox"
    assert [e["content"] for e in call["transcript"] if e["role"] == "assistant"] == [MESSAGE]
    at_carrier = rig.carrier.placed(call["callSid"])
    beep_ended = loud(await at_carrier.said())[-1]
    message_began = loud(await at_carrier.heard())[0]
    assert message_began > beep_ended
    kinds = [event["kind"] for event in await stored(rig, call["id"])]
    assert kinds.index("who_answered") < kinds.index("greeting_over")


def loud(mulaw: bytes) -> list[int]:
    """Where in the sound something can be heard."""
    samples = memoryview(codec.decode(MULAW_8K, mulaw)).cast("h")
    return [n for n, sample in enumerate(samples) if abs(sample) > LOUD]


async def a_menu_hears_the_key(rig: Rig) -> None:
    """As the menu hears it: a tone in the sound."""
    async with asyncio.timeout(60):
        while True:
            events = await stored(rig, rig.accepted[MENU])
            if any(e["kind"] == "keys_pressed" for e in events):
                break
            await asyncio.sleep(0.1)
    pressed = [e["data"]["keys"] for e in events if e["kind"] == "keys_pressed"]
    assert pressed[0] == "2"
    at_carrier = rig.carrier.placed((await live(rig, MENU))["callSid"])
    async with asyncio.timeout(20):
        while True:  # nothing else is said to a menu
            mulaw = await at_carrier.heard()
            at = loud(mulaw)
            if at and len(mulaw) - at[-1] > GAP_MS * 8:
                break
            await asyncio.sleep(0.1)
    tone = list(memoryview(codec.decode(MULAW_8K, mulaw)).cast("h"))[at[0] : at[-1] + 1]
    assert abs(len(tone) / 8 - TONE_MS) < 20
    assert key_heard(tone, 8000) == "2"
    await at_carrier.do(HangUp())
    call = await shown(rig, MENU)
    assert call["answeredBy"]["who"] == "menu"
    assert [e["content"] for e in call["transcript"] if e["role"] == "assistant"] == []


async def live(rig: Rig, number: str) -> dict[str, Any]:
    async with rig.http() as http:
        return (await http.get(f"/v1/calls/{rig.accepted[number]}")).json()["data"]


async def what_is_entered_in_secret_reaches_the_tool(rig: Rig, shop: HttpPeer) -> None:
    call = await shown(rig, CALLER)
    assert call["endedReason"] == "agent_ended", call
    [asked] = [a for a in shop.requests if a.target.startswith("/pins/")]
    assert asked.target == f"/pins/{AS_IN_URL}"
    assert asked.headers["x-pin"] == PIN
    lines = [(line["role"], line["content"]) for line in call["transcript"]]
    assert ("user", "[pressed • • • • • •]") in lines


async def nowhere(rig: Rig, folder: Path, afterwards: Afterwards) -> None:
    """The API, with the history of tools and the export, and everything that is on the disk."""
    id = uuid.UUID(rig.accepted[CALLER])
    texts: dict[str, str] = {"webhooks": b"".join(a.body for a in afterwards.news).decode()}
    async with rig.http() as http:
        for path in (f"calls/{id}", f"calls/{id}/events?limit=100", "calls/export"):
            answer = await http.get(f"/v1/{path}")
            assert answer.status_code == 200, path
            texts[path] = answer.text
    assert "check_pin" in texts[f"calls/{id}/events?limit=100"]
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"chorus.db", "server.log"} <= {file.name for file in files}
    for file in files:
        texts[str(file)] = file.read_bytes().decode("latin-1")
    for where, text in texts.items():
        for form in (PIN, AS_IN_URL, AS_IN_URL.lower()):
            assert form not in text, where
