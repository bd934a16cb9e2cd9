"""The background sounds: the same everywhere, without a seam, and made only once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import numpy as np
import pytest

from chorus.audio import codec, sounds
from chorus.audio.sounds import SOUNDS, Sound, load


def samples(sound: Sound, rate_hz: int) -> np.ndarray:
    return np.frombuffer(load(sound.id, rate_hz), "<i2").astype(float)


def test_ids_never_change():
    assert {sound.name: str(sound.id) for sound in SOUNDS} == {
        "office": "7cf60e38-d442-510f-866a-8a644c229102",
        "cafe": "ccdcbd51-1944-50f7-8b31-bfb44c61126d",
        "rain": "2a9ed9a0-3f69-5da8-b745-64b0ffd032e3",
    }
    assert all(sound.description for sound in SOUNDS)


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda s: s.name)
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_length_and_loudness(sound, rate_hz):
    pcm16 = load(sound.id, rate_hz)
    assert len(pcm16) == 30 * rate_hz * 2
    assert 3000 < codec.rms(pcm16) < 3400
    assert codec.peak(pcm16) < 30_000
    seconds = np.sqrt(np.mean(samples(sound, rate_hz).reshape(30, -1) ** 2, axis=1))
    assert seconds.min() > 1500  # no second is nearly silent
    assert seconds.max() < 6000  # and none stands out
    assert abs(samples(sound, rate_hz).mean()) < 5


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda s: s.name)
@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_no_seam_where_it_starts_over(sound, rate_hz):
    loop = samples(sound, rate_hz)
    round_again = np.concatenate((loop[-2:], loop))
    jumps, bends = np.abs(np.diff(round_again[1:])), np.abs(np.diff(round_again, 2))
    # The first of each is at the seam, where a click would be among the largest of all.
    assert jumps[0] < np.quantile(jumps, 0.95)
    assert bends[:2].max() < np.quantile(bends, 0.95)


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda s: s.name)
def test_a_loop_does_not_repeat_within_itself(sound):
    spectrum = np.fft.rfft(samples(sound, 8000))
    alike = np.fft.irfft(np.abs(spectrum) ** 2)
    alike /= alike[0]
    assert np.abs(alike[8000 : len(alike) // 2]).max() < 0.3


def test_the_rates_are_the_same_sound():
    for sound in SOUNDS:
        wide = np.fft.rfft(samples(sound, 48000))[: 3900 * 30]
        narrow = np.fft.rfft(samples(sound, 8000))[: 3900 * 30]
        overlap = np.vdot(wide, narrow) / np.linalg.norm(wide) / np.linalg.norm(narrow)
        assert overlap.real > 0.99


def test_it_is_made_within_a_second_and_the_same_again():
    for sound in SOUNDS:
        sounds._loaded.cache_clear()
        began = time.process_time()
        first = load(sound.id, 8000)
        assert time.process_time() - began < 2  # a slow, shared machine; about 0.5 s
        sounds._loaded.cache_clear()
        assert load(str(sound.id), 8000) == first


def test_it_is_made_once_for_all_calls_that_begin_together(monkeypatch):
    made = []
    monkeypatch.setattr(sounds, "_made", lambda sound, rate_hz: made.append(1) or b"sound")
    sounds._loaded.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: load(SOUNDS[0].id, 8000), range(16)))
    sounds._loaded.cache_clear()
    assert got == {b"sound"}
    assert made == [1]


def test_a_folder_keeps_it_for_the_next_start(tmp_path, monkeypatch, caplog):
    folder, rain = tmp_path / "sounds", SOUNDS[2]
    sounds._loaded.cache_clear()
    pcm16 = load(rain.id, 8000, folder)
    [file] = folder.iterdir()
    assert file.read_bytes() == pcm16

    sounds._loaded.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(sounds, "_made", None)  # would fail: it is read
        assert load(rain.id, 8000, folder) == pcm16

    file.write_bytes(pcm16[:1000])  # as a full disk leaves it
    sounds._loaded.cache_clear()
    assert load(rain.id, 8000, folder) == pcm16
    assert file.read_bytes() == pcm16
    assert "made anew" in caplog.text


def test_a_folder_that_cannot_be_written_is_only_a_warning(tmp_path, caplog):
    (tmp_path / "file").touch()
    sounds._loaded.cache_clear()
    assert load(SOUNDS[2].id, 8000, tmp_path / "file" / "sounds")
    assert "cannot be kept" in caplog.text


def test_unknown_sounds_and_rates_are_refused():
    for unknown in (uuid4(), "rain", str(UUID(int=0)), ""):
        with pytest.raises(LookupError, match="unknown background sound"):
            load(unknown, 8000)
    with pytest.raises(ValueError, match="unsupported sample rate 11025"):
        load(SOUNDS[0].id, 11025)
