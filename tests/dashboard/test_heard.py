"""A recorded person is the page's microphone; the sound that the page plays is recorded, and ears
that know nothing of the call understand it."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import pytest
import soxr
from bench.prompts import RATE_HZ, Prompt, pcm16, prompts, word_errors
from playwright.sync_api import Browser, Page, expect
from scripts.material import MODELS
from tests.dashboard.browser import become_owner, microphone, needed, visiting
from tests.fakes.server import Server, serving
from tests.material import needs_model, needs_speech

from chorus.speech.stt.whisper_model import WhisperModel

pytestmark = [
    *needed,
    needs_model("whisper-tiny.en", "piper-en_US-joe-medium"),
    needs_speech("en"),
]

SAID = "please-try-call-later"
BEFORE_S = 15
"""Until a slow machine has connected: the microphone begins to play when the page opens it."""
ANSWER = "Then please try again in ten minutes."
SCRIPT = """You keep a garden shop.

script:
when caller says "try your call again later": say "Then please try again in ten minutes."
otherwise: say "Sorry, what was that?"
"""
# Whatever the page sends to the loudspeaker is kept too, at the rate of its context.
LISTEN = """
window.played = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode && !(this instanceof ScriptProcessorNode)) {
    const tap = this.context.createScriptProcessor(4096, 1, 1);
    window.rate = this.context.sampleRate;
    tap.onaudioprocess = (event) => {
      const samples = event.inputBuffer.getChannelData(0);
      window.played.push(Int16Array.from(samples, (x) => Math.max(-1, Math.min(1, x)) * 32767));
    };
    connect.call(this, tap);
    connect.call(tap, to);
  }
  return connect.call(this, to, ...rest);
};
"""
PLAYED = """() => {
  const all = new Uint8Array(window.played.reduce((n, part) => n + part.byteLength, 0));
  let at = 0;
  for (const part of window.played) {
    all.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  let text = "";
  for (let i = 0; i < all.length; i += 32768) {
    text += String.fromCharCode(...all.subarray(i, i + 32768));
  }
  return [window.rate, btoa(text)];
}"""

# Something was played, and for a second nothing more.
SPOKEN = """() => {
  const loud = window.played.map((part) => part.some((x) => Math.abs(x) > 300));
  const last = loud.lastIndexOf(true);
  return last >= 0 && loud.length - last > window.rate / 4096;
}"""


@pytest.fixture(scope="module")
def said() -> Prompt:
    return next(prompt for prompt in prompts("en") if prompt.name == SAID)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, said: Prompt) -> Iterator[Browser]:
    silence = bytes(2 * RATE_HZ)
    sound = silence * BEFORE_S + pcm16(said.audio) + silence * 60
    with microphone(tmp_path_factory.mktemp("microphone"), sound, RATE_HZ) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: dict[str, str]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("heard") / "data"
    with serving(folder, CHORUS_MODELS_DIR=str(MODELS), **database) as running:
        yield running


def agent(server: Server) -> str:
    with server.client() as http:
        model = http.get("/v1/slm-models?search=script").json()["data"][0]["id"]
        wish = {
            "name": "Garden shop",
            "systemPrompt": SCRIPT,
            "slmModelId": model,
            "voiceId": "piper-en_us-joe-medium",
            "firstSpeaker": "user",
        }
        return http.post("/v1/agents", json=wish).raise_for_status().json()["data"]["id"]


def understood(page: Page) -> str:
    rate, text = page.evaluate(PLAYED)
    samples = np.frombuffer(base64.b64decode(text), "<i2").astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    assert loud.size, "nothing was played"
    # Over long silence Whisper says again what it said before.
    spoken = samples[max(0, loud[0] - rate // 2) : loud[-1] + rate // 2]
    ears = WhisperModel(MODELS / "whisper-tiny.en")
    return ears.decode(soxr.resample(spoken, rate, 16000)).text


def wrong(said: str, heard: str) -> int:
    return word_errors([(said, heard)])[0]


def test_a_person_is_heard_and_the_answer_is_understood(
    browser: Browser, server: Server, said: Prompt
):
    with visiting(browser, server, permissions=["microphone"]) as visit:
        page = visit.page
        page.add_init_script(LISTEN)
        become_owner(visit, server)
        visit.open(f"/agents/{agent(server)}")
        page.get_by_role("button", name="Talk to it").click()
        expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
        lines = page.get_by_role("list", name="Transcript")
        expect(lines).to_contain_text(ANSWER, timeout=60_000)
        heard = lines.locator("li.caller").all_inner_texts()
        while not page.evaluate(SPOKEN):
            page.wait_for_timeout(100)
        answer = understood(page)
        page.get_by_role("button", name="Hang up").click()
        assert visit.complaints == []
    assert wrong(said.text, " ".join(heard)) <= 1, heard
    assert wrong(ANSWER, answer) <= 1, answer
