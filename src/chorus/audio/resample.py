"""From one sample rate to another, on a live stream.

A live stream must neither wait nor alias, and no library at hand does both: measured
from 16 to 8 kHz, `audioop.ratecv` and soxr's QQ let everything above 4 kHz through as
false tones (0 dB down), and soxr from LQ up collects 60 to 115 ms before it answers. So
`Resampler` is a short linear-phase filter of its own (Kaiser-windowed sinc, applied as a
polyphase bank): 12 samples of the lower rate to either side, which is 1.5 ms of delay
at 8 kHz, flat within 0.1 dB up to 3.4 kHz and at least 55 dB down from 4.6 kHz.

Its coefficients are whole numbers, so every sum is exact in a double and the stream that
comes out does not depend on how the stream that goes in is cut.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from chorus.audio import codec
from chorus.audio.frame import RATES_HZ, AudioFormat

_WINGS = 12  # samples of the lower rate to either side of the middle
_KAISER_BETA = 5.65  # 60 dB, by Kaiser's formula
_UNIT = 1 << 20  # what a gain of one is in the whole-numbered coefficients
_FEW_PHASES = 8  # up to here one pass a phase is cheaper than gathering windows

_Floats = npt.NDArray[np.float64]


class Resampler:
    """One mono pcm16 stream from `from_hz` to `to_hz`; passes through where they are equal.

    Chunks may have any size and may even split a sample. Raises `ValueError` for a rate
    that `AudioFormat` does not know.
    """

    __slots__ = ("_bank", "_down", "_half", "_past", "_position", "_up", "delay_ms")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        for rate_hz in (from_hz, to_hz):
            if rate_hz not in RATES_HZ:
                raise ValueError(f"unsupported sample rate {rate_hz} Hz")
        common = gcd(from_hz, to_hz)
        self._up: int = to_hz // common
        self._down: int = from_hz // common
        self._bank = _filters(self._up, self._down)
        # Where the window of the next output begins, in 1/up samples after past[0].
        self._position: int = 0
        self._past: _Floats = np.zeros(self._wings)
        self._half = b""
        self.delay_ms = 0.0 if from_hz == to_hz else self._wings * 1000 / from_hz

    @property
    def _wings(self) -> int:
        return self._bank.shape[1] // 2

    def feed(self, pcm16: bytes) -> bytes:
        """What can be said now; the last `delay_ms` follow with the next call."""
        if self._half or len(pcm16) & 1:
            pcm16 = self._half + pcm16
            whole = len(pcm16) & ~1
            self._half, pcm16 = pcm16[whole:], pcm16[:whole]
        if self._up == self._down:
            return pcm16
        return self._run(np.frombuffer(pcm16, "<i2"))

    def flush(self) -> bytes:
        """The rest. In all, n samples have become n·to/from, rounded up; half a sample at the
        very end is dropped. Afterwards the resampler is as new."""
        rest = b"" if self._up == self._down else self._run(np.zeros(self._wings))
        self._position, self._past, self._half = 0, np.zeros(self._wings), b""
        return rest

    def _run(self, samples: npt.NDArray[np.generic]) -> bytes:
        up, down, taps = self._up, self._down, self._bank.shape[1]
        x: _Floats = np.concatenate((self._past, samples), dtype=np.float64)
        position = self._position
        count = -((position - (len(x) - taps + 1) * up) // down)
        if count <= 0:
            self._past = x
            return b""
        sums = np.empty(count)
        if up <= _FEW_PHASES:
            for phase in range(min(up, count)):
                start, row = divmod(position + phase * down, up)
                # Every up-th output uses the same row, `down` samples further on.
                end = start + (count - 1 - phase) // up * down + taps
                sums[phase::up] = np.correlate(x[start:end], self._bank[row])[::down]
        else:
            positions = np.arange(count, dtype=np.int64) * down + position
            windows = np.lib.stride_tricks.sliding_window_view(x, taps)[positions // up]
            np.einsum("ij,ij->i", windows, self._bank[positions % up], out=sums)
        position += count * down
        self._past, self._position = x[position // up :], position % up
        sums *= 1 / _UNIT
        np.rint(sums, out=sums)
        np.maximum(sums, -32768.0, out=sums)
        np.minimum(sums, 32767.0, out=sums)
        return sums.astype("<i2").tobytes()


class Converter:
    """One stream from one format to another: decode, resample, encode. Chunks may have any
    size; nothing is done where the formats are equal."""

    __slots__ = ("_resampler", "_source", "_target")

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self._source, self._target = source, target
        self._resampler = None if source == target else Resampler(source.rate_hz, target.rate_hz)

    @property
    def delay_ms(self) -> float:
        return self._resampler.delay_ms if self._resampler else 0.0

    def feed(self, audio: bytes) -> bytes:
        if self._resampler is None:
            return audio
        return codec.encode(self._target, self._resampler.feed(codec.decode(self._source, audio)))

    def flush(self) -> bytes:
        """The rest; afterwards the converter is as new."""
        if self._resampler is None:
            return b""
        return codec.encode(self._target, self._resampler.flush())


@lru_cache(maxsize=32)
def _filters(up: int, down: int) -> _Floats:
    """One row of taps for each of `up` phases, in order of time, whole numbers.

    Row r holds the taps of an output that lies r/up samples after its window's middle.
    """
    # In samples of the stream going in, which is the faster one when going down.
    wings = -(-_WINGS * max(up, down) // up)
    fine = np.arange(-wings * up, wings * up + 1)  # in 1/up samples
    cutoff = min(1 / up, 1 / down)  # of the Nyquist rate of the fine grid
    ideal = np.sinc(fine * cutoff) * np.kaiser(len(fine), _KAISER_BETA)
    bank = np.zeros((up, 2 * wings + 1))
    for row in range(up):
        # Newest sample first in the filter, oldest first in the window: hence reversed.
        taps = ideal[row::up][::-1]
        bank[row, bank.shape[1] - len(taps) :] = taps
    bank *= _UNIT / bank.sum(axis=1, keepdims=True)
    bank = np.rint(bank)
    bank.flags.writeable = False
    return bank
