"""Limits of vendors in time, on virtual time: idle sockets, old ones, flushes a minute."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from tests.fakes.speech import Clauses, tone
from tests.fakes.vendors.deepgram import AuraMouth
from tests.fakes.vendors.elevenlabs import ElevenLabsMouth
from tests.fakes.vendors.hearing import KEY
from tests.fakes.vendors.net import MemoryNet, Peer
from tests.fakes.vendors.soniox import SonioxMouth
from tests.fakes.vendors.speaking import MS_PER_CHAR
from tests.fakes.virtual import run_virtual
from tests.speech.vendors.cases import EARS, MOUTHS, EarsCase, MouthCase

from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import (
    EngineFailed,
    Hints,
    Transcription,
    VoiceSession,
    VoiceStyle,
    Words,
)
from chorus.speech.tts.deepgram import DeepgramVoice
from chorus.speech.tts.elevenlabs import ElevenLabsVoice
from chorus.speech.tts.soniox import SonioxVoice
from chorus.speech.vendor import stream as vendor_stream
from chorus.speech.vendor.options import SpeakingOptions

ENGLISH = Hints(("en",))


def virtual(scene: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(100_000):
            await scene

    run_virtual(bounded())


async def spoken_ms(session: VoiceSession, *texts: str) -> float:
    async with aclosing(session.speak(Clauses(*texts))) as pieces:
        return sum([MULAW_8K.ms(len(piece.audio)) async for piece in pieces])


class Line:
    """A stream of a transcriber's, in memory."""

    def __init__(self, case: EarsCase) -> None:
        self.ears = case.ears()
        self.words: list[Words] = []
        self.failures: list[EngineFailed] = []
        self.fed_ms = 0.0
        net = MemoryNet({"": self.ears})
        self._adapter = case.transcriber(KEY, net, "https://vendor.example")
        self._format = self._adapter.takes(MULAW_8K)

    async def open(self) -> None:
        opening = self._adapter.open(self._format, ENGLISH, self.words.append, self.failures.append)
        self.stream: Transcription = await opening
        await asyncio.sleep(0.1)

    @property
    def finals(self) -> list[Words]:
        return [words for words in self.words if words.final]

    async def says(self) -> None:
        for _ in range(40):
            self.stream.feed(tone(self._format, 20))
            await asyncio.sleep(0.02)
        self.fed_ms += 800
        self.stream.speech_started(800)
        self.stream.finalize()
        await asyncio.sleep(1)


@pytest.mark.parametrize("before", [0, 1], ids=["at-first", "between-turns"])
@pytest.mark.parametrize("case", EARS, ids=lambda case: case.name.replace(" ", "-"))
def test_a_line_on_hold_does_not_cost_the_stream(case: EarsCase, before: int) -> None:
    """Ten minutes without a frame, and then a turn. The stand-ins close as the vendors do."""

    async def scene() -> None:
        line = Line(case)
        line.ears.understands(*["Hold the line."][:before], "Are you still there?")
        await line.open()
        for _ in range(before):
            await line.says()
        [talk] = line.ears.talks
        messages = talk.messages
        await asyncio.sleep(600)
        assert talk.messages - messages >= 600 / case.idle_s - 2
        await line.says()
        assert line.finals[before].text == "Are you still there?"
        # What was sent to keep it open is not counted as the caller's audio.
        assert line.finals[before].heard_to_ms == pytest.approx(line.fed_ms, abs=1)
        for word in line.finals[before].words:
            assert word.start_ms <= word.end_ms <= line.fed_ms + 30
        assert not line.failures
        assert len(line.ears.talks) == 1
        await line.stream.close()

    virtual(scene())


@pytest.mark.parametrize(
    "case",
    [case for case in EARS if case.ears.idle_s is not None],
    ids=lambda case: case.name.replace(" ", "-"),
)
def test_a_stream_that_is_not_kept_open_is_lost(
    case: EarsCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test before it would find if a keepalive were missing."""
    monkeypatch.setattr(vendor_stream, "_TICK_S", 10_000)

    async def scene() -> None:
        line = Line(case)
        await line.open()
        await line.says()
        await asyncio.sleep(600)
        assert [failure.stage for failure in line.failures] == ["lost"]
        await line.stream.close()

    virtual(scene())


@pytest.mark.parametrize("case", EARS, ids=lambda case: case.name.replace(" ", "-"))
def test_what_was_kept_for_a_new_stream_is_taken_at_once(case: EarsCase) -> None:
    async def scene() -> None:
        ears = case.ears()
        ears.understands("A very long story.")
        adapter = case.transcriber(KEY, MemoryNet({"": ears}), "https://vendor.example")
        words: list[Words] = []
        failures: list[EngineFailed] = []
        format = adapter.takes(MULAW_8K)
        stream = await adapter.open(format, ENGLISH, words.append, failures.append)
        stream.feed(tone(format, 10_000))
        stream.speech_started(10_000)
        stream.finalize()
        await asyncio.sleep(1)
        assert not failures
        assert [each.text for each in words if each.final] == ["A very long story."]
        assert ears.talks[0].heard_ms == pytest.approx(10_000, abs=50)
        assert ears.talks[0].longest_ms <= 200
        await stream.close()

    virtual(scene())


@pytest.mark.parametrize("case", MOUTHS, ids=lambda case: case.name.replace(" ", "-"))
def test_a_socket_that_closed_while_nobody_spoke_is_there_again(case: MouthCase) -> None:
    async def scene() -> None:
        mouth = case.mouth()
        peers: list[Peer] = []
        talk = mouth.talk

        async def remembered(peer: Peer) -> None:
            peers.append(peer)
            await talk(peer)

        mouth.talk = remembered  # type: ignore[method-assign]
        voice = case.voice(KEY, MemoryNet({"": mouth}), "https://vendor.example")
        session = await voice.open(MULAW_8K, VoiceStyle(language="en"))
        assert await spoken_ms(session, "One.") == pytest.approx(4 * MS_PER_CHAR, abs=60)
        await asyncio.sleep(60)
        await peers[0].close(1008, "nothing to do")
        await asyncio.sleep(1)
        assert len(peers) == 2  # before anything is to be said
        assert await spoken_ms(session, "Two.") == pytest.approx(4 * MS_PER_CHAR, abs=60)
        await session.aclose()

    virtual(scene())


def test_an_old_socket_of_a_voice_is_replaced_between_replies() -> None:
    async def scene() -> None:
        mouth = AuraMouth()
        voice = DeepgramVoice(KEY, SpeakingOptions(), net=MemoryNet({"": mouth}))
        session = await voice.open(MULAW_8K, VoiceStyle())
        await asyncio.sleep(3310)
        assert len(mouth.sockets) == 2
        assert mouth.byes == 1
        await spoken_ms(session, "Still here.")
        assert len(mouth.sockets) == 2
        await session.aclose()

    virtual(scene())


def test_no_more_flushes_in_a_minute_than_a_socket_may_have() -> None:
    class Counting(AuraMouth):
        def __init__(self) -> None:
            super().__init__()
            self.flushes: dict[int, list[float]] = defaultdict(list)

        def meaning(self, asked: Any, message: Any) -> Any:
            wishes = super().meaning(asked, message)
            if wishes[0].kind == "flush":
                self.flushes[id(asked)].append(asyncio.get_running_loop().time())
            return wishes

    async def scene() -> None:
        mouth = Counting()
        voice = DeepgramVoice(KEY, SpeakingOptions(), net=MemoryNet({"": mouth}))
        session = await voice.open(MULAW_8K, VoiceStyle())
        for _ in range(12):  # a lively talk
            assert await spoken_ms(session, "Yes.", " And no.", " Or so.") == 19 * MS_PER_CHAR
            await asyncio.sleep(1.5)
        long = [f" Number {number}." for number in range(30)]
        began_s = asyncio.get_running_loop().time()
        ms = await spoken_ms(session, *long)
        assert ms == pytest.approx(
            len("".join(each.strip() for each in long)) * MS_PER_CHAR, abs=2000
        )
        assert asyncio.get_running_loop().time() - began_s < 125
        await session.aclose()
        assert sum(map(len, mouth.flushes.values())) == 66
        for times in mouth.flushes.values():
            for first, twentieth in zip(times, times[20:], strict=False):
                assert twentieth - first >= 60

    virtual(scene())


def test_a_reply_that_waits_for_its_model_keeps_its_context() -> None:
    class Slow:
        def __init__(self) -> None:
            self.texts = ["One moment.", " Here it is."]

        def __aiter__(self) -> Slow:
            return self

        async def __anext__(self) -> str:
            if not self.texts:
                raise StopAsyncIteration
            if len(self.texts) == 1:
                await asyncio.sleep(90)
            return self.texts.pop(0)

    async def scene() -> None:
        mouth = ElevenLabsMouth()
        voice = ElevenLabsVoice(KEY, SpeakingOptions(), net=MemoryNet({"": mouth}))
        session = await voice.open(MULAW_8K, VoiceStyle())
        async with aclosing(session.speak(Slow())) as speech:
            pieces = [piece async for piece in speech]
        assert pieces[-1].clause == 1
        assert len(mouth.contexts) == 1
        assert 4 <= len(mouth.control) <= 8  # keepalives of the context, every 15 s or so
        await session.aclose()

    virtual(scene())


def test_a_cancel_that_soniox_refuses_costs_nothing_but_what_it_speaks() -> None:
    """The stream goes on to its end, its audio is thrown away, and the next replies are clean."""

    async def scene() -> None:
        mouth = SonioxMouth()
        mouth.cancels_ended = False
        mouth.pace = 8.0
        voice = SonioxVoice(KEY, SpeakingOptions(), net=MemoryNet({"": mouth}))
        session = await voice.open(MULAW_8K, VoiceStyle(language="en"))
        for _ in range(10):
            texts = ("A rather long sentence.", " And one more.", " And a third.")
            async with aclosing(session.speak(Clauses(*texts))) as speech:
                await anext(speech)
            assert await spoken_ms(session, "Fine.") == pytest.approx(5 * MS_PER_CHAR, abs=60)
        await session.aclose()

    virtual(scene())
