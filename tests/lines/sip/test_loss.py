"""A bad network: the call stays up, and ears that know nothing of it understand what was said."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.prompts import Prompt, pcm16, prompts, samples, to_16k, word_errors
from scripts.material import MODELS
from tests.lines.sip.exchange import NUMBER, Talk, exchange
from tests.lines.sip.lossy import LossyPorts
from tests.lines.sip.peers import baresip, needs_baresip
from tests.material import needs_model, needs_speech

from chorus.audio import codec
from chorus.speech.stt.whisper_model import WhisperModel

pytestmark = [needs_baresip, needs_model("whisper-tiny.en"), needs_speech("en")]

RTP_PORTS = (21000, 21999)
LEAD = bytes(8000)  # half a second
SILENCE = bytes(16000 * 30)
SAID, ANSWERED = "vm-invalidpassword", "confbridge-lock-no-join"
# What the telephone needs against 200 ms: it is ours alone that adapts by itself.
PATIENT = "jitter_buffer_type adaptive\njitter_buffer_delay 12-40"


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_words_are_understood_when_a_fifth_is_lost_and_the_rest_late(tmp_path: Path) -> None:
    said, answered = _prompt(SAID), _prompt(ANSWERED)
    longest_s = max(len(said.audio), len(answered.audio)) / 8000 + 1.7
    says = LEAD + pcm16(said.audio) + SILENCE
    async with (
        exchange() as here,
        baresip(tmp_path / "bob", modules="module plc.so", more=PATIENT, says=says) as bob,
    ):
        net = LossyPorts(*RTP_PORTS, loss=0.2, jitter_ms=200, seed=2)
        here.agent.calls.ports = net
        here.desk.on_talk = lambda talk: _say(talk, LEAD + pcm16(answered.audio) + SILENCE)
        here.trust()
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.port}")
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > longest_s * 16000)
        bob.command("hangup")
        await talk.ended
        quality = talk.line.quality
        assert quality is not None
        assert 0.15 < net.lost / net.sent < 0.25
        assert quality.loss > 0.1
    ears = WhisperModel(MODELS / "whisper-tiny.en")
    for prompt, heard in ((said, bytes(talk.heard)), (answered, bob.heard())):
        text = ears.decode(to_16k(samples(heard))).text
        wrong, words = word_errors([(prompt.text, text)])
        assert wrong <= 2, text
        assert words >= 9


def _prompt(name: str) -> Prompt:
    return next(prompt for prompt in prompts("en") if prompt.name == name)


def _say(talk: Talk, sound: bytes) -> None:
    talk.line.play(codec.encode(talk.line.format, sound))
