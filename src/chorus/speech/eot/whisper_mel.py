"""Smart Turn's features: Whisper's log-mel spectrum (`speech/mel.py`) of a window at 16 kHz,
brought to zero mean and unit variance before, as Hugging Face's `WhisperFeatureExtractor` does
with `do_normalize`. Eight seconds become [80, 800]."""

from __future__ import annotations

import numpy as np

from chorus.speech import mel
from chorus.speech.mel import RATE_HZ, Floats

SAMPLES = 8 * RATE_HZ
MELS, FRAMES = 80, 800


def log_mel(audio: Floats, frames: int = FRAMES) -> Floats:
    """The last `frames` of [80, 800] of exactly `SAMPLES` samples. `ValueError` for another
    length."""
    if audio.shape != (SAMPLES,):
        raise ValueError(f"{SAMPLES} samples are needed, not {audio.shape}")
    level = audio - audio.mean()
    level /= np.sqrt(audio.var() + np.float32(1e-7))
    padded = np.pad(level, mel.WINDOW // 2, mode="reflect")
    # The silence in front of a short turn is the same in each window: one of them will do.
    alike = (int((audio != 0).argmax()) - mel.WINDOW // 2) // mel.HOP
    left_out = FRAMES - frames
    first = max(alike, left_out)
    power = mel.log_power(padded, MELS, first, FRAMES)
    return np.pad(mel.scaled(power).T, ((0, 0), (first - left_out, 0)), mode="edge")


def last_eight_seconds(audio: Floats) -> Floats:
    """The end of `audio`, with silence in front where there is less of it."""
    if len(audio) >= SAMPLES:
        return audio[-SAMPLES:]
    found = np.zeros(SAMPLES, np.float32)
    found[SAMPLES - len(audio) :] = audio
    return found
