"""Log-mel spectra as Whisper's feature extractor makes them, in numpy.

A waveform at 16 kHz is reflected at its ends by half a window, cut into 25 ms Hann windows every
10 ms, and each window's power spectrum is summed under triangles of equal area on Slaney's mel
scale (linear to 1 kHz, logarithmic above). After OpenAI's `whisper/audio.py` and Hugging
Face's `WhisperFeatureExtractor`, whose parameters these are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000
HOP = 160
WINDOW = 400
FLOOR = 1e-10
_LOG_FROM_HZ, _LOG_FROM_MEL, _HZ_PER_MEL = 1000.0, 15.0, 200.0 / 3.0
_LOG_STEP = np.log(6.4) / 27.0

Floats = NDArray[np.float32]


def log_power(padded: Floats, mels: int, first: int, frames: int) -> Floats:
    """log10 of the mel power [frames - first, mels] of a waveform that is padded already."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][first:frames]
    window, triangles = _tables(mels)
    spectrum = np.fft.rfft(windows * window, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log10(np.maximum(power @ triangles, FLOOR))


def scaled(mel: Floats) -> Floats:
    """At most 8 below the loudest, shifted and scaled by 4."""
    np.maximum(mel, mel.max() - 8.0, out=mel)
    return ((mel + 4.0) / 4.0).astype(np.float32)


@lru_cache(maxsize=2)
def _tables(mels: int) -> tuple[Floats, Floats]:
    """The window [400] and the triangles [201, mels]."""
    window = np.hanning(WINDOW + 1)[:-1]  # periodic
    edges_mel = np.linspace(0.0, _to_mel(RATE_HZ / 2), mels + 2)
    edges = np.where(
        edges_mel < _LOG_FROM_MEL,
        edges_mel * _HZ_PER_MEL,
        _LOG_FROM_HZ * np.exp(_LOG_STEP * (edges_mel - _LOG_FROM_MEL)),
    )
    bins = np.linspace(0.0, RATE_HZ / 2, WINDOW // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (middle - low)
    falling = (high - bins) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    return window.astype(np.float32), triangles.astype(np.float32)


def _to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_FROM_MEL + float(np.log(hz / _LOG_FROM_HZ)) / _LOG_STEP
