"""The real model, in batches."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from tests.speech.sounds import frames, noise, pcm, telephone_speech

from chorus.audio.frame import PCM_8K
from chorus.audio.resample import Resampler
from chorus.speech.engines import EngineFailed, VoiceDetector
from chorus.speech.models import find_model
from chorus.speech.onnx import open_session
from chorus.speech.vad.silero import SileroDetector

_MODEL = find_model("silero_vad")
assert _MODEL is not None, "the local extra is part of the development environment"
MODEL: Path = _MODEL

SENTENCE = "I would like to book a table for two on Friday."


async def _hear(
    detector: SileroDetector, sounds: list[list[bytes]], rate_hz: int = 8000
) -> list[list[float]]:
    """All sounds at once, a frame of each at a time; waits for the answers."""
    answers: list[list[float]] = [[] for _ in sounds]
    streams = [detector.open(rate_hz, answers[i].append) for i in range(len(sounds))]
    for step in range(max(map(len, sounds))):
        for stream, sound in zip(streams, sounds, strict=True):
            if step < len(sound):
                stream.feed(sound[step])
        async with asyncio.timeout(20):
            while any(len(a) < min(step + 1, len(s)) for a, s in zip(answers, sounds, strict=True)):
                await asyncio.sleep(0)
    for stream in streams:
        stream.close()
    return answers


def test_hears_speech_and_neither_noise_nor_silence():
    speech = pcm(telephone_speech(SENTENCE))

    async def main() -> list[list[float]]:
        detector: VoiceDetector = SileroDetector(MODEL, flush_ms=0)
        assert isinstance(detector, SileroDetector)
        sounds = [speech, PCM_8K.silence(1500), noise(1500)]
        try:
            return await _hear(detector, [frames(sound, 512) for sound in sounds])
        finally:
            await detector.aclose()

    spoken, silent, noisy = asyncio.run(main())
    assert sum(p > 0.5 for p in spoken) > 0.8 * len(spoken)
    assert max(silent) < 0.2
    assert sum(p > 0.35 for p in noisy) <= 1


def test_hears_speech_at_16_khz():
    speech = Resampler(8000, 16000).feed(pcm(telephone_speech(SENTENCE)))

    async def main() -> list[list[float]]:
        detector = SileroDetector(MODEL, flush_ms=0)
        try:
            return await _hear(detector, [frames(speech, 1024)], 16000)
        finally:
            await detector.aclose()

    (spoken,) = asyncio.run(main())
    assert sum(p > 0.5 for p in spoken) > 0.8 * len(spoken)


def test_a_batch_gives_what_each_alone_gives():
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)
    sounds = [speech[start : start + 40] for start in range(5)]

    async def main() -> tuple[list[list[float]], list[list[float]]]:
        together = SileroDetector(MODEL, flush_ms=2)
        alone = SileroDetector(MODEL, flush_ms=0, max_batch=1)
        try:
            singles = [(await _hear(alone, [sound]))[0] for sound in sounds]
            return await _hear(together, sounds), singles
        finally:
            await together.aclose()
            await alone.aclose()

    batched, singles = asyncio.run(main())
    np.testing.assert_allclose(batched, singles, atol=1e-4)


def test_equals_the_model_asked_directly():
    """Context of 32 samples in front, state carried: the arithmetic of the batcher, redone."""
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)[:30]
    session = open_session(MODEL, "silero")
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(32, np.float32)
    expected: list[float] = []
    for frame in speech:
        samples = np.frombuffer(frame, "<i2").astype(np.float32) / 32768
        x = np.concatenate((context, samples))[None].astype(np.float32)
        out, state = session.run(None, {"input": x, "state": state, "sr": np.array(8000)})
        context = samples[-32:]
        expected.append(float(out[0, 0]))

    async def main() -> list[list[float]]:
        detector = SileroDetector(MODEL, flush_ms=0)
        try:
            return await _hear(detector, [speech])
        finally:
            await detector.aclose()

    np.testing.assert_allclose(asyncio.run(main())[0], expected, atol=1e-4)


def test_frames_fed_in_a_burst_are_answered_in_order_and_all():
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)[:12]

    async def main() -> tuple[list[float], list[float]]:
        detector = SileroDetector(MODEL, flush_ms=1)
        burst: list[float] = []
        try:
            (calm,) = await _hear(detector, [speech])
            stream = detector.open(8000, burst.append)
            for frame in speech:
                stream.feed(frame)
            async with asyncio.timeout(20):
                while len(burst) < len(speech):
                    await asyncio.sleep(0.001)
            return calm, burst
        finally:
            await detector.aclose()

    calm, burst = asyncio.run(main())
    np.testing.assert_allclose(burst, calm, atol=1e-4)


def test_a_stream_far_behind_skips_but_answers_once_a_frame():
    async def main() -> tuple[int, int]:
        detector = SileroDetector(MODEL, flush_ms=1)
        got: list[float] = []
        try:
            stream = detector.open(8000, got.append)
            for _ in range(60):
                stream.feed(noise(32))
            async with asyncio.timeout(20):
                while len(got) < 60:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            return len(got), detector.skipped_frames
        finally:
            await detector.aclose()

    answered, skipped = asyncio.run(main())
    assert answered == 60
    assert skipped > 0


def test_lasting_digital_silence_is_answered_without_the_model_and_speech_after_it_is_heard():
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)
    sound = [bytes(512)] * 200 + speech

    class Counted:
        runs = 0

        def __init__(self, detector: SileroDetector) -> None:
            self._inner = detector._session
            detector._session = self

        def run(self, names, feed):
            Counted.runs += 1
            return self._inner.run(names, feed)

    async def main() -> list[list[float]]:
        detector = SileroDetector(MODEL, flush_ms=0)
        Counted(detector)
        try:
            return await _hear(detector, [sound])
        finally:
            await detector.aclose()

    (got,) = asyncio.run(main())
    assert len(got) == len(sound)
    assert Counted.runs < len(speech) + 20
    assert sum(p > 0.5 for p in got[200:]) > 0.8 * len(speech)


def test_a_failing_run_is_counted_and_judged_without_the_model(caplog):
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)

    class Broken:
        def run(self, names, feed):
            raise RuntimeError("out of memory")

    async def main() -> tuple[list[float], int]:
        detector = SileroDetector(MODEL, flush_ms=0)
        detector._session = Broken()
        try:
            (got,) = await _hear(detector, [speech])
            return got, detector.failures
        finally:
            await detector.aclose()

    got, failures = asyncio.run(main())
    assert failures == len(speech)
    assert sum(p > 0.35 for p in got) > 0.7 * len(speech)
    assert "out of memory" in caplog.text


def test_a_listener_that_raises_costs_nobody_else_an_answer():
    async def main() -> list[float]:
        detector = SileroDetector(MODEL, flush_ms=1)
        got: list[float] = []

        def broken(probability: float) -> None:
            raise ValueError("listener")

        try:
            first, second = detector.open(8000, broken), detector.open(8000, got.append)
            for _ in range(2):
                first.feed(noise(32))
                second.feed(noise(32))
                await asyncio.sleep(0.05)
            return got
        finally:
            await detector.aclose()

    assert len(asyncio.run(main())) == 2


def test_a_slot_taken_over_starts_afresh_and_closed_streams_hear_nothing():
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)

    async def main() -> None:
        detector = SileroDetector(MODEL, flush_ms=0)
        try:
            (fresh,) = await _hear(detector, [speech[:10]])
            await _hear(detector, [speech])
            (again,) = await _hear(detector, [speech[:10]])
            np.testing.assert_allclose(again, fresh, atol=1e-4)

            got: list[float] = []
            stream = detector.open(8000, got.append)
            stream.feed(speech[0])
            stream.close()
            stream.close()
            stream.feed(speech[1])
            await asyncio.sleep(0.05)
            assert got == []
        finally:
            await detector.aclose()

    asyncio.run(main())


def test_reset_forgets():
    speech = frames(pcm(telephone_speech(SENTENCE)), 512)

    async def main() -> None:
        detector = SileroDetector(MODEL, flush_ms=0)
        got: list[float] = []
        try:
            stream = detector.open(8000, got.append)
            for frame in [*speech[10:20], speech[3]]:
                if frame is speech[3]:
                    stream.reset()
                count = len(got)
                stream.feed(frame)
                while len(got) == count:
                    await asyncio.sleep(0)
            (alone,) = await _hear(detector, [[speech[3]]])
            assert got[-1] == pytest.approx(alone[0], abs=1e-4)
        finally:
            await detector.aclose()

    asyncio.run(main())


def test_bad_input_is_refused_by_name(tmp_path: Path):
    async def main() -> None:
        detector = SileroDetector(MODEL)
        with pytest.raises(ValueError, match="8000 or 16000"):
            detector.open(24000, print)
        stream = detector.open(8000, print)
        with pytest.raises(ValueError, match="512 bytes"):
            stream.feed(bytes(510))
        await detector.aclose()
        await detector.aclose()
        with pytest.raises(EngineFailed):
            detector.open(8000, print)

    asyncio.run(main())
    with pytest.raises(ValueError, match="max_batch"):
        SileroDetector(MODEL, max_batch=0)
    with pytest.raises(ValueError, match="flush_ms"):
        SileroDetector(MODEL, flush_ms=-1)
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(EngineFailed, match="load"):
        SileroDetector(broken)


def test_more_streams_than_a_batch_holds_are_all_answered_soon():
    sound = noise(32)

    async def main() -> float:
        detector = SileroDetector(MODEL, flush_ms=8, max_batch=16)
        got: list[float] = []
        try:
            streams = [detector.open(8000, got.append) for _ in range(70)]
            began = time.monotonic()
            for stream in streams:
                stream.feed(sound)
            while len(got) < 70:
                await asyncio.sleep(0)
            return time.monotonic() - began
        finally:
            await detector.aclose()

    assert asyncio.run(main()) < 2.0
