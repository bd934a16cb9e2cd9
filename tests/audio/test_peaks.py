from __future__ import annotations

import wave
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from chorus.audio.peaks import PER_SECOND, NoSound, peaks


def wav(sound: np.ndarray, channels: int = 2, rate_hz: int = 8000) -> BytesIO:
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(sound.astype("<i2").tobytes())
    file.seek(0)
    return file


def test_each_side_has_its_own_loudness_on_a_scale_of_decibels():
    sound = np.zeros((8000, 2))
    sound[:4000, 0] = -32768  # the caller, as loud as it gets
    sound[4000:, 1] = 1036  # the agent, 30 dB below
    found = peaks(wav(sound))
    half = PER_SECOND // 2
    assert found.duration_ms == 1000
    assert list(found.left) == [255] * half + [0] * half
    assert list(found.right) == [0] * half + [113] * half


def test_what_is_left_over_at_the_end_counts():
    found = peaks(wav(np.full((8001, 2), 32767)))
    assert (len(found.left), found.left[-1]) == (PER_SECOND + 1, 254)


def test_pieces_fit_together():
    sound = np.zeros((8000 * 61, 2))
    sound[8000 * 60 :, 0] = 32767
    found = peaks(wav(sound))
    assert (len(found.left), found.left[59 * PER_SECOND], found.left[-1]) == (3050, 0, 254)


def test_what_is_no_recording_is_refused(tmp_path: Path):
    broken = tmp_path / "a.wav"
    broken.write_bytes(b"RIFFnothing")
    for given in (broken, wav(np.zeros(100), channels=1)):
        with pytest.raises(NoSound):
            peaks(given)
