"""A call on an organization's own keys, made by the API alone: a real server, a carrier, and
vendors that answer as documented.

Deepgram refuses its key, so ElevenLabs hears; Anthropic thinks; ElevenLabs speaks. What the call
cost must be by who really did each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer
from tests.fakes.vendors.deepgram import NovaEars
from tests.fakes.vendors.elevenlabs import ElevenLabsMouth, ScribeEars
from tests.fakes.vendors.hearing import KEY
from tests.fakes.vendors.net import Asked, Peer, Refusal, Served, StandIn
from tests.llm.test_native import claude
from tests.soak.rig import OURS, Rig, environment

from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Step, Wait, WaitQuiet, say
from chorus.demo.voices import recite

SAID = "Saturday would be better for me"
ANSWER = "Then Saturday it is."
CALLER = "+15559990007"


class ElevenLabs:
    """Both of its sockets behind one address."""

    def __init__(self) -> None:
        self.ears, self.mouth = ScribeEars(), ElevenLabsMouth()

    def _of(self, asked: Asked) -> StandIn:
        return self.ears if "speech-to-text" in asked.path else self.mouth

    def refusal(self, asked: Asked) -> Refusal | None:
        if asked.path == "/v1/voices":
            return Refusal(503, "{}")  # its list is away: the default voice does without
        return self._of(asked).refusal(asked)

    async def talk(self, peer: Peer) -> None:
        await self._of(peer.asked).talk(peer)


@pytest.fixture
async def carrier() -> AsyncGenerator[CarrierClient]:
    async with client.running() as running:
        yield running


async def bring(rig: Rig, provider: str, url: str, **more: Any) -> None:
    async with rig.http() as http:
        key = {"provider": provider, "apiKey": KEY, "baseUrl": url.replace("ws://", "http://")}
        answer = await http.post("/v1/provider-keys", json={**key, **more})
        assert answer.status_code == 201, answer.text


async def over(rig: Rig) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not (calls := await rig.calls()) or calls[0]["cost"] is None:
            await asyncio.sleep(0.1)
    return calls[0]


@pytest.mark.timeout(150)
async def test_a_call_on_keys_of_ones_own(tmp_path: Path, carrier: CarrierClient):
    eleven, deepgram = ElevenLabs(), NovaEars()
    deepgram.refuse = Refusal(401, '{"err_msg":"Invalid credentials."}')
    eleven.ears.understands(*[SAID] * 3)
    env = environment(carrier, None) | {"CHORUS_ALLOW_PRIVATE_ADDRESSES": "1"}
    rig = Rig(carrier, tmp_path, env, None)
    await rig.start()
    try:
        async with OpenAIServer() as anthropic, Served(eleven) as at, Served(deepgram) as other:
            anthropic.answer(*[Answer(claude(ANSWER), done=False)] * 8)
            await bring(rig, "elevenlabs", at)
            await bring(rig, "deepgram", other)
            await bring(rig, "anthropic", anthropic.url.removesuffix("/v1"))
            await rig.prepare(
                slmModelId="anthropic-claude-haiku-5-5",
                transcriberId="deepgram-nova-3",
                transcriberFallbackIds=["elevenlabs-scribe_v2_realtime"],
                voiceId="elevenlabs-default",
                agentGreeting="Hello. When shall we come?",
                agentGreetingEnabled=True,
            )
            words = (await recite([SAID]))[SAID]
            steps: list[Step] = [WaitQuiet(), say(words), Wait(ms=4000), HangUp()]
            at_carrier = await carrier.call(OURS, CALLER, Person(steps=steps))
            await at_carrier.wait("agent.answers", 30)
            call = await over(rig)
        async with rig.http() as http:
            whole = (await http.get(f"/v1/calls/{call['id']}")).json()["data"]
            ledger = await http.get("/v1/ledger", params={"callId": call["id"]})
            events = (await http.get(f"/v1/calls/{call['id']}/events?limit=100")).json()["data"]
    finally:
        await rig.stop()
    said = [(line["role"], line["content"]) for line in whole["transcript"]]
    assert said[:3] == [
        ("assistant", "Hello. When shall we come?"),
        ("user", SAID),
        ("assistant", ANSWER),
    ]
    # The end-of-turn model of a busy machine may be late, which has nothing to do with this.
    failed = [e["data"] for e in events if e["kind"] == "engine_failed"]
    of_vendors = [(f["vendor"], f["remedy"]) for f in failed if f["vendor"] != "smart-turn"]
    assert of_vendors == [("deepgram/nova-3", "replaced")]
    lines = ledger.json()["data"]
    engines = {(line["meter"], line["engine"].partition("/")[0]) for line in lines}
    assert engines >= {
        ("transcription", "elevenlabs"),
        ("voice", "elevenlabs"),
        ("model_input", "anthropic"),
        ("model_output", "anthropic"),
    }
    heard = {x["engine"]: x["quantity"] for x in lines if x["meter"] == "transcription"}
    assert heard.get("deepgram/nova-3", 0) <= 1  # it heard nothing
    assert sum(round(line["amount"] * 1e6) for line in lines) == round(call["cost"] * 1e6)
    assert all(line["amount"] > 0 for line in lines if line["quantity"] > 50)
