"""Whole calls, on virtual time, in which a vendor breaks in the middle and another takes over:
nothing is said twice, no word is lost, and the caller waits no longer than the first vendor's
deadline and the second one's own time. The adapters are the real ones; the vendors are stand-ins
in memory that play the documented messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from tests.fakes.llm import FakeModel
from tests.fakes.speech import FakeTranscriber, FakeVoice
from tests.fakes.stage import Result, Stage, play
from tests.fakes.vendors import speaking
from tests.fakes.vendors.deepgram import AuraMouth, FluxEars, NovaEars
from tests.fakes.vendors.elevenlabs import ElevenLabsMouth, ScribeEars
from tests.fakes.vendors.hearing import KEY, Ears, Fault
from tests.fakes.vendors.net import MemoryNet, Refusal
from tests.fakes.vendors.speaking import Mouth

from chorus.audio.frame import AudioFormat
from chorus.speech.engines import EngineFailed, Hints, Transcriber, Voice, VoiceStyle, Words
from chorus.speech.stt import deepgram as deepgram_stt
from chorus.speech.stt.deepgram import DeepgramTranscriber
from chorus.speech.stt.elevenlabs import ElevenLabsTranscriber
from chorus.speech.tts.deepgram import DeepgramVoice
from chorus.speech.tts.elevenlabs import ElevenLabsVoice
from chorus.speech.vendor.options import HearingOptions, SpeakingOptions
from chorus.talk.spec import StandIns

SECOND_MS = 600.0
"""What the second vendor itself may take, opening its socket and all."""


class Heard(FakeTranscriber):
    """An adapter where the stage expects its own transcriber. What the person says is understood
    by whichever vendor answers."""

    def __init__(self, adapter: Transcriber, ears: Ears) -> None:
        super().__init__(name=adapter.name, endpointing=adapter.endpointing)
        self._adapter, self._ears = adapter, ears

    def understands(self, *texts: str) -> None:
        self._ears.understands(*texts)

    def takes(self, line: AudioFormat) -> AudioFormat:
        return self._adapter.takes(line)

    async def open(
        self,
        format: AudioFormat,
        hints: Hints,
        on_words: Callable[[Words], None],
        on_failed: Callable[[EngineFailed], None],
    ) -> Any:
        return await self._adapter.open(format, hints, on_words, on_failed)


class Said(FakeVoice):
    def __init__(self, adapter: Voice) -> None:
        super().__init__(name=adapter.name, deadline_ms=adapter.deadline_ms)
        self._adapter = adapter

    def gives(self, line: AudioFormat) -> AudioFormat:
        return self._adapter.gives(line)

    async def open(self, format: AudioFormat, style: VoiceStyle) -> Any:
        return await self._adapter.open(format, style)


# --- hearing ----------------------------------------------------------------------------------


def longest_wait_ms(result: Result, said_s: float) -> float:
    """From the end of what the person said to the first sound of the answer."""
    return min(at for at, loud in result.person.heard if loud > 500 and at > said_s) - said_s


class Hearing:
    """A call of two turns. `breaks` is done to the first vendor before the second turn."""

    def __init__(self, model: str = "nova-3") -> None:
        self.first = NovaEars() if model == "nova-3" else FluxEars()
        self.second = ScribeEars()
        self.second.understood = self.first.understood
        net = MemoryNet({"wss://api.deepgram.com": self.first, "wss://api.eleven": self.second})
        self.adapter = DeepgramTranscriber(KEY, HearingOptions(model), net=net)
        self.other = ElevenLabsTranscriber(KEY, HearingOptions(), net=net)
        self.said_s = 0.0

    def call(self, fault: Fault | None, *, refuse: Refusal | None = None) -> Result:
        async def scene(stage: Stage) -> None:
            await stage.person.says("a table please", 700)
            await stage.until("reply_heard")
            self.first.fault = fault
            await stage.person.says("for two on monday", 900)
            self.said_s = asyncio.get_running_loop().time()
            await stage.until("reply_heard", 2)
            await stage.person.hang_up()

        self.first.refuse = refuse
        result = play(
            scene,
            transcriber=Heard(self.adapter, self.first),
            stand_ins=StandIns(transcribers=(self.other,)),
        )
        told = [turn["text"] for turn in result.of("turn_committed")]
        assert told == ["a table please", "for two on monday"]
        return result


@pytest.mark.parametrize("at", ["audio", "finalize"])
@pytest.mark.parametrize("kind", ["close", "kill", "garbage", "error", "stall"])
def test_a_transcriber_breaks_in_mid_call(kind: Any, at: Any) -> None:
    hearing = Hearing()
    result = hearing.call(Fault(kind, at))
    waited_ms = longest_wait_ms(result, hearing.said_s) * 1000
    # The voice and the turn-taking of the stage take their time in any call.
    usual_ms = 900 + SECOND_MS
    deadline_ms = hearing.adapter.endpointing.final_within_ms if kind == "stall" else 0
    assert waited_ms <= usual_ms + deadline_ms
    [failed] = [f for f in result.of("engine_failed") if f["remedy"] == "replaced"]
    assert failed["vendor"] == "deepgram/nova-3"
    [talk] = hearing.second.talks
    assert talk.said_bye is False
    # All of the second sentence was heard by the vendor that took over, beginning and all.
    assert talk.heard_ms >= 900


def test_a_transcriber_without_room_for_the_call() -> None:
    hearing = Hearing()
    result = hearing.call(None, refuse=Refusal(429, "too many concurrent requests"))
    assert [f["remedy"] for f in result.of("engine_failed")] == ["replaced"]
    assert not hearing.first.talks


@pytest.mark.parametrize("kind", ["close", "garbage", "stall"])
def test_a_transcriber_that_judges_turns_breaks(kind: Any) -> None:
    hearing = Hearing("flux-general-en")
    result = hearing.call(Fault(kind, "audio"))
    assert result.of("turn_committed")[0]["by"] == "eot"
    waited_ms = longest_wait_ms(result, hearing.said_s) * 1000
    assert waited_ms <= 900 + SECOND_MS + (1800 if kind == "stall" else 0)


def test_an_old_socket_is_replaced_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_stt.NovaWire, "session_s", 3.0)
    ears = NovaEars()
    net = MemoryNet({"wss://api.deepgram.com": ears})
    adapter = DeepgramTranscriber(KEY, HearingOptions(), net=net)

    async def scene(stage: Stage) -> None:
        for turn in range(1, 5):
            await stage.person.says(f"turn {turn}", 700)
            await stage.until("reply_heard", turn)
        await stage.person.hang_up()

    result = play(scene, transcriber=Heard(adapter, ears))
    assert [turn["text"] for turn in result.of("turn_committed")] == [
        f"turn {turn}" for turn in range(1, 5)
    ]
    assert len(ears.talks) >= 2
    assert all(talk.said_bye for talk in ears.talks)
    assert not result.of("engine_failed")


# --- speaking -----------------------------------------------------------------------------------

REPLY = "Good morning to you. We have a table for two on Monday. Shall I book it now?"


class Speaking:
    def __init__(self) -> None:
        self.first: Mouth = ElevenLabsMouth()
        self.second: Mouth = AuraMouth()
        self.said_s = 0.0
        self.first.pace = self.second.pace = 6.0
        self.first.first_s = self.second.first_s = 0.1
        net = MemoryNet({"wss://api.deepgram.com": self.second, "wss://api.eleven": self.first})
        self.adapter = ElevenLabsVoice(KEY, SpeakingOptions(), net=net)
        self.other = DeepgramVoice(KEY, SpeakingOptions(), net=net)

    def call(self, fault: speaking.Fault | None, *, refuse: Refusal | None = None) -> Result:
        async def scene(stage: Stage) -> None:
            await asyncio.sleep(0.5)
            self.first.fault, self.first.refuse = fault, refuse
            await stage.person.says("hello there", 700)
            self.said_s = asyncio.get_running_loop().time()
            await stage.until("reply_heard")
            await stage.person.hang_up()

        result = play(
            scene,
            voice=Said(self.adapter),
            model=FakeModel([REPLY]),
            stand_ins=StandIns(voices=((cast("Voice", self.other), ""),)),
        )
        assert result.transcript[-1] == ("assistant", REPLY)
        return result

    def silence_ms(self, result: Result) -> float:
        """The longest, before the reply or in it."""
        loud = [at for at, peak in result.person.heard if peak > 500]
        loud.insert(0, self.said_s)
        return max((b - a for a, b in pairwise(loud)), default=0.0) * 1000


@pytest.mark.parametrize("at", ["text", "audio", "later"])
@pytest.mark.parametrize("kind", ["close", "kill", "garbage", "error", "stall"])
def test_a_voice_breaks_in_mid_reply(kind: Any, at: Any) -> None:
    speaking_ = Speaking()
    result = speaking_.call(speaking.Fault(kind, at))
    [context] = speaking_.first.contexts
    spoken = "".join(context.text[: context.sounded].split())
    rest = "".join("".join(speaking_.second.said).split())
    whole = "".join(REPLY.split())
    # The second says what the first did not, from the word at which it broke off.
    assert whole.endswith(rest)
    again = len(spoken) - (len(whole) - len(rest))
    assert 0 <= again <= len("morning")
    heard_ms = result.person.speech_ms
    assert heard_ms == pytest.approx(len(REPLY) * 50, abs=600)
    deadline_ms = speaking_.adapter.deadline_ms if kind == "stall" else 0
    # A turn is ended and answered by the stage's own engines in 700 ms.
    assert speaking_.silence_ms(result) <= 700 + deadline_ms + SECOND_MS
    assert [f["remedy"] for f in result.of("engine_failed")] == ["replaced"]


def test_a_voice_without_room_for_the_call() -> None:
    speaking_ = Speaking()
    speaking_.first.refuse = Refusal(429, "too many concurrent requests")
    result = speaking_.call(None, refuse=Refusal(429, "too many concurrent requests"))
    assert "".join(speaking_.second.said).split() == REPLY.split()
    assert [f["remedy"] for f in result.of("engine_failed")] == ["replaced"]


def test_what_was_heard_before_an_interruption_is_known_to_the_word() -> None:
    speaking_ = Speaking()

    async def scene(stage: Stage) -> None:
        await stage.person.says("hello there", 700)
        await asyncio.sleep(2.2)
        await stage.person.says("stop please", 900)
        await asyncio.sleep(3)
        await stage.person.hang_up()

    result = play(scene, voice=Said(speaking_.adapter), model=FakeModel([REPLY, "Fine."]))
    said = [text for role, text in result.transcript if role == "assistant"]
    assert said[-1] == "Fine."
    assert REPLY.startswith(said[0])
    heard_ms = result.person.speech_ms - len("Fine.") * speaking.MS_PER_CHAR
    assert len(said[0]) * speaking.MS_PER_CHAR == pytest.approx(heard_ms, abs=500)
    assert not result.of("engine_failed")
