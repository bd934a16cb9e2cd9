"""The fakes keep the promises of the Protocols that they stand in for."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.speech import (
    Clauses,
    FakeDetector,
    FakeEndOfTurn,
    FakeTranscriber,
    FakeVoice,
    tone,
)
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K, PCM_8K
from chorus.speech.engines import (
    EndOfTurn,
    EngineFailed,
    Heard,
    Hints,
    Mark,
    Spoken,
    Transcriber,
    Voice,
    VoiceDetector,
    VoiceStyle,
    Words,
)

# Checked by pyright, not at run time: each fake is what it says it is.
_transcriber: Transcriber = FakeTranscriber()
_voice: Voice = FakeVoice()
_detector: VoiceDetector = FakeDetector()
_end_of_turn: EndOfTurn = FakeEndOfTurn()


def test_every_finalize_gets_one_final():
    async def main() -> list[Words]:
        got: list[Words] = []
        engine = FakeTranscriber()
        engine.understands("a table for two")
        stream = await engine.open(MULAW_8K, Hints(), got.append, lambda failed: None)
        stream.feed(MULAW_8K.silence(500))
        engine.hear("a table", final=False)
        stream.finalize()
        await asyncio.sleep(0.2)
        stream.finalize()
        engine.hear("said at once")
        await asyncio.sleep(0.2)
        stream.finalize()
        await stream.close()
        await asyncio.sleep(0.2)
        return got

    assert run_virtual(main()) == [
        Words("a table", False, 500, 500),
        Words("a table for two", True, 500, 500),
        Words("said at once", True, 500, 500),
    ]


def test_voice_takes_its_time_and_tells_its_marks():
    async def main() -> tuple[list[Spoken], float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = 0.0
        got: list[Spoken] = []
        session = await FakeVoice().open(MULAW_8K, VoiceStyle())
        async for piece in session.speak(Clauses("Sure.", "Two?")):
            first = first or loop.time() - began
            got.append(piece)
        return got, first

    got, first = run_virtual(main())
    assert first == pytest.approx(0.1, abs=0.001)
    assert [(len(p.audio), p.clause, p.last) for p in got] == [
        (800, 0, False),
        (800, 0, False),
        (400, 0, True),
        (800, 1, False),
        (800, 1, True),
    ]
    assert [m for p in got for m in p.marks] == [Mark(5, 250), Mark(4, 200)]


def test_voice_fails_where_told_and_counts_the_closed():
    async def main() -> FakeVoice:
        voice = FakeVoice(fail_at=1)
        session = await voice.open(MULAW_8K, VoiceStyle())
        with pytest.raises(EngineFailed):
            async for _ in session.speak(Clauses("Good morning")):
                pass
        speech = session.speak(Clauses("Good morning"))
        await anext(speech)
        await speech.aclose()
        return voice

    voice = run_virtual(main())
    assert (voice.speaking, voice.closed_early) == (0, 1)


def test_detector_by_loudness_and_by_script():
    async def main() -> list[float]:
        got: list[float] = []
        detector = FakeDetector()
        stream = detector.open(8000, got.append)
        with pytest.raises(ValueError, match="512 bytes"):
            stream.feed(b"")
        stream.feed(tone(PCM_8K, 32))
        stream.feed(bytes(512))
        detector.script([0.4])
        stream.feed(bytes(512))
        await asyncio.sleep(0.05)
        return got

    assert run_virtual(main()) == [0.95, 0.02, 0.4]


def test_end_of_turn_by_script():
    async def main() -> None:
        model = FakeEndOfTurn(0.2, EngineFailed("fake", "judge", "broken"), None)
        heard = Heard(b"", 8000, "I would like", 200)
        assert await model.judge(heard) == 0.2
        with pytest.raises(EngineFailed):
            await model.judge(heard)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await model.judge(heard)
        assert await model.judge(heard) == 1.0

    run_virtual(main())
