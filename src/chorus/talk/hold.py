"""What a caller hears who waits for a person: music, sent a piece at a time on the call's beat.

It is played into the leg's mouth, so it is in the recording, and `stop` takes back what was not
heard yet. Nothing is fetched or decoded here: the music is there or it is silence.
"""

from __future__ import annotations

import math

import numpy as np

from chorus.audio.codec import encode
from chorus.audio.frame import AudioFormat
from chorus.talk.leg import PIECE_MS, Mouth

AHEAD_MS = 200
"""Music is sent no further ahead than this: it has to stop at once when somebody answers."""
TONE_MS = 180


class Hold:
    """`music` is pcm16 at the line's rate, played over and over; empty for silence."""

    def __init__(self, mouth: Mouth, music: bytes) -> None:
        self._mouth = mouth
        self._music = music
        self._at = 0
        self._size = mouth.line.format.rate_hz * PIECE_MS // 1000 * 2

    def tick(self, now: float) -> None:
        """`now` is the call's time in milliseconds."""
        line = self._mouth.line
        while self._music and line.ahead_ms + PIECE_MS <= min(AHEAD_MS, line.lead_ms):
            before = line.ahead_ms
            self._mouth.send(encode(line.format, self._next()), now)
            if line.ahead_ms <= before:
                return  # the line is over and takes nothing

    def stop(self, now: float) -> None:
        self._mouth.clear(now)

    def _next(self) -> bytes:
        piece = self._music[self._at : self._at + self._size]
        self._at += len(piece)
        while len(piece) < self._size:
            self._at = self._size - len(piece)
            piece += self._music[: self._at]
        return piece


def connect_tone(format: AudioFormat) -> bytes:
    """Two short notes that say: you are connected."""
    at = np.arange(format.rate_hz * TONE_MS // 1000) / format.rate_hz
    hz = np.where(at < TONE_MS / 2000, 660.0, 880.0)
    fade = np.minimum(1.0, np.minimum(at, at[-1] - at) / 0.01)
    wave = np.sin(2 * math.pi * hz * at) * fade * 0.2
    return encode(format, (wave * 32767).astype("<i2").tobytes())
