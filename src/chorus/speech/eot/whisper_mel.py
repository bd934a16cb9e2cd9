"""Log-mel features as Whisper's feature extractor makes them, in numpy.

Eight seconds at 16 kHz become [80, 800]: the waveform is brought to zero mean and unit
variance, reflected at its ends by half a window, cut into 25 ms Hann windows every 10 ms,
and each window's power spectrum is summed under 80 triangles of equal area on Slaney's mel
scale (linear to 1 kHz, logarithmic above); log10, at most 8 below the loudest, shifted and
scaled by 4. After OpenAI's `whisper/audio.py` and Hugging Face's
`WhisperFeatureExtractor`, whose parameters these are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16000
SAMPLES = 8 * RATE_HZ
MELS, FRAMES = 80, 800
_WINDOW, _HOP = 400, 160
_LOG_FROM_HZ, _LOG_FROM_MEL, _HZ_PER_MEL = 1000.0, 15.0, 200.0 / 3.0
_LOG_STEP = np.log(6.4) / 27.0
_FLOOR = 1e-10

Floats = NDArray[np.float32]


def log_mel(audio: Floats) -> Floats:
    """[80, 800] of exactly `SAMPLES` samples. `ValueError` for another length."""
    if audio.shape != (SAMPLES,):
        raise ValueError(f"{SAMPLES} samples are needed, not {audio.shape}")
    level = audio - audio.mean()
    level /= np.sqrt(audio.var() + np.float32(1e-7))
    padded = np.pad(level, _WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:FRAMES]
    # The silence in front of a short turn is the same in each window: one of them will do.
    alike = max((int((audio != 0).argmax()) - _WINDOW // 2) // _HOP, 0)
    windows = windows[alike:]
    window, triangles = _tables()
    spectrum = np.fft.rfft(windows * window, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.log10(np.maximum(power @ triangles, _FLOOR)).T
    np.maximum(mel, mel.max() - 8.0, out=mel)
    mel = np.pad(mel, ((0, 0), (alike, 0)), mode="edge")
    return ((mel + 4.0) / 4.0).astype(np.float32)


def last_eight_seconds(audio: Floats) -> Floats:
    """The end of `audio`, with silence in front where there is less of it."""
    if len(audio) >= SAMPLES:
        return audio[-SAMPLES:]
    found = np.zeros(SAMPLES, np.float32)
    found[SAMPLES - len(audio) :] = audio
    return found


@lru_cache(maxsize=1)
def _tables() -> tuple[Floats, Floats]:
    """The window [400] and the triangles [201, 80]."""
    window = np.hanning(_WINDOW + 1)[:-1]  # periodic
    edges_mel = np.linspace(0.0, _to_mel(RATE_HZ / 2), MELS + 2)
    edges = np.where(
        edges_mel < _LOG_FROM_MEL,
        edges_mel * _HZ_PER_MEL,
        _LOG_FROM_HZ * np.exp(_LOG_STEP * (edges_mel - _LOG_FROM_MEL)),
    )
    bins = np.linspace(0.0, RATE_HZ / 2, _WINDOW // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (middle - low)
    falling = (high - bins) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    return window.astype(np.float32), triangles.astype(np.float32)


def _to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_FROM_MEL + float(np.log(hz / _LOG_FROM_HZ)) / _LOG_STEP
