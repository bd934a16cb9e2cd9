"""A call by voice with nothing but this machine: a recorded person is heard by Whisper and answered
by Piper, through a real server and a carrier, and the recording says the same to other ears."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.prompts import RATE_HZ, pcm16, prompts, samples, to_16k, word_errors
from scripts.material import MODELS
from tests.material import needs_model, needs_speech
from tests.soak.rig import OURS, Rig, environment

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.demo.carrier import client
from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.person import HangUp, Person, Step, WaitQuiet, say
from chorus.speech.stt.whisper_model import WhisperModel

pytestmark = [needs_model("whisper-tiny.en", "piper-en_US-joe-medium"), needs_speech("en")]

# Piper never says a text twice the same: of 25 tries each, these two were always understood, but a
# greeting of three words was not.
GREETING = "Welcome to the garden shop. How can I help you today?"
ANSWER = "Then please try again in ten minutes."
QUIET = 200  # of 32768
FRAME = RATE_HZ // 50
PROMPT = """script:
when caller says "try your call again later": say "Then please try again in ten minutes."
otherwise: say "Sorry, what was that?"
"""


@pytest.fixture
async def carrier() -> AsyncGenerator[CarrierClient]:
    async with client.running() as running:
        yield running


def heard(recording: bytes, turned_ms: float) -> tuple[str, str, str]:
    """What ears that know nothing of the call hear: the caller, and the agent before and after the
    caller's turn was over. Apart, and without long silences, over which Whisper says again what it
    said before."""
    with wave.open(io.BytesIO(recording)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, RATE_HZ)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    at = int(turned_ms * RATE_HZ / 1000)
    ears = WhisperModel(MODELS / "whisper-tiny.en")
    parts = both[:, 0], both[:at, 1], both[at:, 1]
    caller, before, behind = (
        ears.decode(to_16k(samples(sounding(part).tobytes()))).text for part in parts
    )
    return caller, before, behind


def sounding(part: np.ndarray) -> np.ndarray:
    """Without what is silent for longer than half a second: a voice on a busy machine has gaps."""
    frames = part[: len(part) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.abs(frames.astype(np.int32)).max(axis=1) > QUIET
    near = np.convolve(loud, np.ones(25), "same") > 0
    return frames[near].reshape(-1)


@pytest.mark.timeout(300)
async def test_a_person_is_heard_and_answered_by_this_machine(
    tmp_path: Path, carrier: CarrierClient
):
    [said] = [p for p in prompts("en") if p.name == "please-try-call-later"]
    mulaw = codec.encode(MULAW_8K, pcm16(said.audio))
    env = environment(carrier, None) | {"CHORUS_MODELS_DIR": str(MODELS)}
    rig = Rig(carrier, tmp_path, env, None)
    await rig.start()
    try:
        async with rig.http() as http:
            ready = await http.get("/readyz")
            assert (ready.status_code, ready.json()["engines"]) == (200, "ok")
        await rig.prepare(
            slmModelId="script",
            voiceId="piper-en_us-joe-medium",
            systemPrompt=PROMPT,
            agentGreeting=GREETING,
            agentGreetingEnabled=True,
        )
        # Longer than the gaps that a voice has on a machine where other tests run beside it.
        quiet = WaitQuiet(quiet_ms=2000)
        steps: list[Step] = [quiet, say(mulaw), quiet, HangUp()]
        await carrier.call(OURS, "+15559990007", Person(steps=steps))
        call = await over(rig)
        async with rig.http() as http:
            whole = (await http.get(f"/v1/calls/{call['id']}?include=turns")).json()["data"]
            recording = (await http.get(whole["recordingUrl"])).content
            events = (await http.get(f"/v1/calls/{call['id']}/events?limit=100")).json()["data"]
    finally:
        await rig.stop()
    lines = [(line["role"], line["content"]) for line in whole["transcript"]]
    assert [role for role, _ in lines] == ["assistant", "user", "assistant"], lines
    assert (lines[0][1], lines[2][1]) == (GREETING, ANSWER)
    assert wrong(said.text, lines[1][1]) == 0, lines
    [answered] = [e["data"] for e in events if e["kind"] == "answered"]
    assert answered["transcriber"] == "whisper"
    [turn] = whole["turns"]
    assert turn["sentMs"] is not None
    caller, greeting, answer = await asyncio.to_thread(heard, recording, turn["speechEndedAtMs"])
    assert wrong(said.text, caller) <= 1, caller
    # A gap within a word costs other ears that word, and its neighbour.
    assert wrong(GREETING, greeting) <= 2, greeting
    assert wrong(ANSWER, answer) <= 2, answer


def wrong(said: str, heard: str) -> int:
    return word_errors([(said, heard)])[0]


async def over(rig: Rig) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not (calls := await rig.calls()) or not calls[0]["recordingUrl"]:
            await asyncio.sleep(0.1)
    return calls[0]
