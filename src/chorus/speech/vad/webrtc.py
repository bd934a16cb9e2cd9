"""Voice detection without a model: WebRTC's detector, for machines that have no Silero.

Each 32 ms frame is cut into 10 ms pieces (the 2 ms left over begin the next frame), each
piece is judged by a lenient and by a strict detector, and the shares of pieces that they
call speech make the probability. It knows energy in bands, not voices: music and steady
noise pass for speech more often than with a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from chorus.audio import codec
from chorus.speech.engines import VAD_FRAME_MS

_PIECE_MS = 10
# About -60 dBFS: below it there is nobody, whatever the bands look like.
_FLOOR_RMS = 32
# With the default threshold 0.35, lenient alone (0.27) does not open a turn, but keeps an
# open one open (0.35 - 0.15); strict on a third of the pieces opens it (0.5).
_LENIENT_SHARE, _STRICT_SHARE, _LEAST = 0.25, 0.70, 0.02


class WebRtcJudge:
    """The probability of one stream's frames, one after another. No loop, no callback."""

    def __init__(self, rate_hz: int) -> None:
        import webrtcvad  # the operator may have no use for it

        make = cast(Any, webrtcvad).Vad
        self._rate_hz = rate_hz
        self._lenient = make(1)
        self._strict = make(3)
        self._piece = rate_hz * _PIECE_MS // 1000 * 2
        self._rest = b""

    def judge(self, pcm16: bytes) -> float:
        audio = self._rest + pcm16
        whole = len(audio) - len(audio) % self._piece
        self._rest = audio[whole:]
        # Quiet or not, both detectors hear every piece: they follow the level of the noise.
        lenient = strict = 0
        for at in range(0, whole, self._piece):
            piece = audio[at : at + self._piece]
            lenient += self._lenient.is_speech(piece, self._rate_hz)
            strict += self._strict.is_speech(piece, self._rate_hz)
        if codec.rms(pcm16) < _FLOOR_RMS:
            return 0.0
        pieces = whole // self._piece
        return _LEAST + _LENIENT_SHARE * lenient / pieces + _STRICT_SHARE * strict / pieces


class WebRtcStream:
    def __init__(self, rate_hz: int, on_probability: Callable[[float], None]) -> None:
        self._rate_hz = rate_hz
        self._size = rate_hz * VAD_FRAME_MS // 1000 * 2
        self._judge = WebRtcJudge(rate_hz)
        self._on_probability = on_probability
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def feed(self, pcm16: bytes) -> None:
        if len(pcm16) != self._size:
            raise ValueError(f"a frame is {self._size} bytes, not {len(pcm16)}")
        # Not from within feed: the caller is in the middle of something.
        self._loop.call_soon(self._answer, self._judge.judge(pcm16))

    def _answer(self, probability: float) -> None:
        if not self._closed:
            self._on_probability(probability)

    def reset(self) -> None:
        self._judge = WebRtcJudge(self._rate_hz)

    def close(self) -> None:
        self._closed = True


class WebRtcDetector:
    """`VoiceDetector` by webrtcvad (MIT); about 10 µs a frame, on the loop."""

    name = "webrtc"

    def open(self, rate_hz: int, on_probability: Callable[[float], None]) -> WebRtcStream:
        if rate_hz not in (8000, 16000):
            raise ValueError(f"voice detection takes 8000 or 16000 Hz, not {rate_hz}")
        return WebRtcStream(rate_hz, on_probability)

    async def aclose(self) -> None:
        """Nothing to release; here so that every detector is closed alike."""
