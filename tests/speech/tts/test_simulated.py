from __future__ import annotations

import asyncio

import pytest
from tests.fakes.speech import Clauses
from tests.fakes.virtual import run_virtual

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K, PCM_16K
from chorus.speech.engines import Mark, Spoken, Voice, VoiceStyle
from chorus.speech.tts.simulated import SimulatedVoice, tone

_voice: Voice = SimulatedVoice()


async def _say(*texts: str, style: VoiceStyle | None = None) -> list[tuple[int, Spoken]]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    session = await SimulatedVoice().open(MULAW_8K, style or VoiceStyle())
    return [
        (round((loop.time() - began) * 1000), piece)
        async for piece in session.speak(Clauses(*texts))
    ]


def test_first_audio_after_100_ms_then_four_times_real_time():
    got = run_virtual(_say("0123456789", "01234567"))
    assert [at for at, _ in got] == [100, 125, 150, 175, 200, 225, 250, 275, 300]
    assert [p.clause for _, p in got] == [0] * 5 + [1] * 4
    assert [p.last for _, p in got] == [False] * 4 + [True] + [False] * 3 + [True]
    assert sum(len(p.audio) for _, p in got) == 18 * 400


def test_speed_and_marks():
    got = run_virtual(_say("Sure. Two?", style=VoiceStyle(speed=0.5)))
    assert sum(len(p.audio) for _, p in got) == 2 * 10 * 400
    assert [mark for _, p in got for mark in p.marks] == [Mark(5, 500), Mark(10, 1000)]


def test_an_empty_clause_ends_too():
    got = run_virtual(_say(""))
    assert [(p.audio, p.last) for _, p in got] == [(b"", True)]


def test_a_voice_that_had_nothing_to_do_takes_its_time_again():
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        began = loop.time()

        class Slow(Clauses):
            async def __anext__(self) -> str:
                await asyncio.sleep(1)
                return await super().__anext__()

        session = await SimulatedVoice().open(MULAW_8K, VoiceStyle())
        speech = session.speak(Slow("ab", "ab"))
        return [round((loop.time() - began) * 1000) async for _ in speech]

    assert run_virtual(main()) == [1100, 2200]


def test_the_tone_is_endless_and_loud():
    for format in (MULAW_8K, PCM_16K):
        whole = tone(format, 9500, 21_000)
        assert len(whole) == format.size(21_000)
        assert codec.peak(codec.decode(format, whole)) > 5000


def test_settings_are_checked():
    for name in ("speed", "ms_per_char", "piece_ms"):
        with pytest.raises(ValueError, match=name):
            SimulatedVoice(**{name: 0})
    with pytest.raises(ValueError, match="first_audio_ms"):
        SimulatedVoice(first_audio_ms=-1)
