"""The format of a stream of samples.

Audio travels through Chorus as plain `bytes` in the format that its stream was opened
with: an object per 20 ms frame would cost more than everything done to the frame. The
rate is therefore part of the stream's type, and whoever cannot work at a rate says so
when the stream is opened, not when it sounds wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Encoding = Literal["mulaw", "alaw", "pcm16"]

RATES_HZ = (8000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono audio: how a sample is written and how many there are a second.

    `pcm16` is signed 16-bit little-endian; `mulaw` and `alaw` are ITU-T G.711, which
    is defined at 8000 Hz only. Raises `ValueError` for anything else.
    """

    encoding: Encoding
    rate_hz: int

    def __post_init__(self) -> None:
        if self.encoding not in ("mulaw", "alaw", "pcm16"):
            raise ValueError(f"unknown audio encoding {self.encoding!r}")
        if self.rate_hz not in RATES_HZ:
            raise ValueError(f"unsupported sample rate {self.rate_hz} Hz")
        if self.encoding != "pcm16" and self.rate_hz != 8000:
            raise ValueError(f"{self.encoding} is 8000 Hz, not {self.rate_hz} Hz")

    @property
    def sample_bytes(self) -> int:
        return 2 if self.encoding == "pcm16" else 1

    def size(self, ms: float) -> int:
        """Bytes that hold `ms` milliseconds, a whole number of samples."""
        return int(ms * self.rate_hz / 1000) * self.sample_bytes

    def ms(self, size: int) -> float:
        """Milliseconds that `size` bytes last."""
        return size * 1000 / (self.rate_hz * self.sample_bytes)

    def silence(self, ms: float) -> bytes:
        """Digital silence: the byte that decodes to zero, not a zero byte."""
        zero = {"pcm16": b"\x00", "mulaw": b"\xff", "alaw": b"\xd5"}[self.encoding]
        return zero * self.size(ms)


MULAW_8K = AudioFormat("mulaw", 8000)
ALAW_8K = AudioFormat("alaw", 8000)
PCM_8K = AudioFormat("pcm16", 8000)
PCM_16K = AudioFormat("pcm16", 16000)
