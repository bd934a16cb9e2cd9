from __future__ import annotations

import asyncio

import pytest
from tests.speech.sounds import frames, pcm, telephone_speech

from chorus.audio.frame import PCM_8K
from chorus.speech.engines import VoiceDetector
from chorus.speech.vad.webrtc import WebRtcDetector, WebRtcJudge

SENTENCE = "I would like to book a table for two on Friday."

_detector: VoiceDetector = WebRtcDetector()


def test_speech_is_probable_and_silence_is_not():
    judge = WebRtcJudge(8000)
    spoken = [judge.judge(frame) for frame in frames(pcm(telephone_speech(SENTENCE)), 512)]
    assert sum(p > 0.35 for p in spoken) > 0.7 * len(spoken)
    assert all(0 <= p <= 1 for p in spoken)
    quiet = [judge.judge(frame) for frame in frames(PCM_8K.silence(1000), 512)]
    assert set(quiet) == {0.0}


def test_every_piece_is_judged_though_a_frame_is_no_whole_number_of_them():
    judge = WebRtcJudge(16000)
    for _ in range(7):
        judge.judge(bytes(1024))
    assert len(judge._rest) == 7 * 1024 % 320


def test_the_stream_answers_once_a_frame_after_feed_has_returned():
    async def main() -> None:
        got: list[float] = []
        stream = WebRtcDetector().open(8000, got.append)
        with pytest.raises(ValueError, match="512 bytes"):
            stream.feed(b"12")
        stream.feed(bytes(512))
        assert got == []
        await asyncio.sleep(0)
        assert got == [0.0]
        stream.reset()
        stream.feed(bytes(512))
        stream.close()
        await asyncio.sleep(0)
        assert got == [0.0]

    asyncio.run(main())


def test_a_wrong_rate_is_refused():
    with pytest.raises(ValueError, match="44100"):
        WebRtcDetector().open(44100, print)
