from __future__ import annotations

import asyncio
import timeit

import pytest
from tests.fakes.speech import tone
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_8K, AudioFormat
from chorus.speech.engines import Hints, Transcriber, Words
from chorus.speech.stt.simulated import SimulatedTranscriber, SimulatedTranscription

TEXT = "a table for two"


class Caller:
    """Feeds 20 ms every 20 ms and keeps when words came, in ms from the start."""

    def __init__(self, format: AudioFormat = MULAW_8K) -> None:
        self.format = format
        self.got: list[tuple[int, Words]] = []
        self.began = asyncio.get_running_loop().time()

    def now_ms(self) -> int:
        return round((asyncio.get_running_loop().time() - self.began) * 1000)

    async def open(self, engine: Transcriber) -> SimulatedTranscription:
        stream = await engine.open(
            self.format,
            Hints(),
            lambda words: self.got.append((self.now_ms(), words)),
            lambda failure: None,
        )
        assert isinstance(stream, SimulatedTranscription)
        return stream

    async def say(self, stream: SimulatedTranscription, ms: int, loud: bool) -> None:
        frame = tone(self.format, 20) if loud else self.format.silence(20)
        for _ in range(ms // 20):
            stream.feed(frame)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("format", [MULAW_8K, ALAW_8K, PCM_8K])
def test_final_words_come_100_ms_after_the_last_loud_audio_and_interims_before(
    format: AudioFormat,
):
    async def main() -> None:
        caller = Caller(format)
        stream = await caller.open(SimulatedTranscriber([TEXT]))
        await caller.say(stream, 500, loud=False)
        await caller.say(stream, 1000, loud=True)
        await caller.say(stream, 500, loud=False)
        interims = [words for _, words in caller.got if not words.final]
        ((at_ms, final),) = [(at, words) for at, words in caller.got if words.final]
        assert final == Words(TEXT, True, 1500, 1580)
        assert abs(at_ms - 1580) <= 2  # the last loud frame was fed at 1480
        assert [words.text for words in interims][:2] == ["a", "a table"]
        assert caller.got[0][0] <= 720

    run_virtual(main())


def test_every_finalize_gets_one_final():
    async def main() -> None:
        caller = Caller()
        stream = await caller.open(SimulatedTranscriber([TEXT, "yes"]))
        stream.finalize()
        await asyncio.sleep(0)
        assert [w.text for _, w in caller.got] == [""]
        caller.got.clear()
        for text in (TEXT, "yes", TEXT):
            await caller.say(stream, 400, loud=True)
            stream.finalize()
            stream.finalize()
            await caller.say(stream, 200, loud=False)
            assert [w.text for _, w in caller.got if w.final] == [text, ""]
            caller.got.clear()
        # a click is no speech, but a question is answered
        await caller.say(stream, 20, loud=True)
        stream.finalize()
        await caller.say(stream, 200, loud=False)
        assert [w.text for _, w in caller.got] == [""]
        await caller.say(stream, 400, loud=True)
        caller.got.clear()
        stream.finalize()
        await stream.close()
        await asyncio.sleep(1)
        assert caller.got == []

    run_virtual(main())


def test_a_frame_costs_next_to_nothing():
    async def main() -> float:
        stream = await Caller().open(SimulatedTranscriber())
        frame = tone(MULAW_8K, 20)
        cost = min(timeit.repeat(lambda: stream.feed(frame), number=200, repeat=5)) / 200
        await stream.close()
        return cost

    assert run_virtual(main()) < 50e-6  # about 1 µs; the bound is for a busy machine


def test_settings_are_checked():
    with pytest.raises(ValueError, match="texts"):
        SimulatedTranscriber([" "])
    with pytest.raises(ValueError, match="delay_ms"):
        SimulatedTranscriber(delay_ms=0)
