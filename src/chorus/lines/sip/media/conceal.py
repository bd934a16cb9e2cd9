"""Filling short holes: the last sound goes on, and fades (after ITU-T G.711 Appendix I).

The pitch of the last 40 ms is repeated for up to 60 ms, losing half of its strength every 20 ms.
A longer hole is left to whoever listens: an invented word is worse than a missing one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST_MS = 60.0
_KEEP_MS = 40
_PITCH_HZ = (66, 400)


class Concealer:
    """`heard` every piece of pcm16, `fill` what is missing after it."""

    __slots__ = ("_keep_bytes", "_last", "_rate_hz")

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._keep_bytes = rate_hz * _KEEP_MS // 1000 * 2
        self._last = b""

    def heard(self, pcm16: bytes) -> None:
        if len(pcm16) >= self._keep_bytes:
            self._last = pcm16[-self._keep_bytes :]
        else:
            self._last = (self._last + pcm16)[-self._keep_bytes :]

    def fill(self, ms: float) -> bytes:
        """At most `MOST_MS` of sound; empty before anything was heard."""
        count = int(min(ms, MOST_MS) * self._rate_hz / 1000)
        past: npt.NDArray[np.float64] = np.frombuffer(self._last, "<i2").astype(np.float64)
        if len(past) * 2 < self._keep_bytes or count == 0:
            return b""
        period = self._period(past)
        cycle = past[-period:]
        sound = np.resize(cycle, count)
        sound *= 0.5 ** (np.arange(count) / (self._rate_hz * 0.02))
        return sound.astype("<i2").tobytes()

    def _period(self, past: npt.NDArray[np.float64]) -> int:
        """The shift at which the end of `past` looks most like itself."""
        low, high = (self._rate_hz // hz for hz in reversed(_PITCH_HZ))
        half = len(past) // 2
        high = min(high, half)
        tail = past[-half:]
        best, best_score = high, 0.0
        for shift in range(low, high + 1, max(self._rate_hz // 8000, 1)):
            other = past[-half - shift : -shift]
            power = float(np.dot(other, other))
            if power <= 0:
                continue
            score = float(np.dot(tail, other)) / power**0.5
            if score > best_score:
                best, best_score = shift, score
        return best
