"""Tones of machines, and speech, which is none."""

from __future__ import annotations

import numpy as np
import pytest
from bench.prompts import pcm16, prompts
from tests.material import needs_speech

from chorus.audio.codec import decode, encode
from chorus.audio.frame import MULAW_8K
from chorus.talk.answered.tones import Tone, Tones

RATE_HZ = 8000


def wave(hz: float, ms: float, level: float = 0.3) -> bytes:
    at = np.arange(int(RATE_HZ * ms / 1000)) / RATE_HZ
    pcm = (32767 * level * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()
    return decode(MULAW_8K, encode(MULAW_8K, pcm))


def quiet(ms: float) -> bytes:
    return decode(MULAW_8K, MULAW_8K.silence(ms))


def heard(sound: bytes, piece: int = 320) -> list[Tone]:
    tones = Tones(RATE_HZ)
    found: list[Tone] = []
    for at in range(0, len(sound), piece):
        found += tones.feed(sound[at : at + piece])
    return found


@pytest.mark.parametrize("hz", [425, 440, 800, 1000, 1400, 2000])
@pytest.mark.parametrize("ms", [200, 500, 1200])
def test_a_beep_is_told_once_when_it_is_over(hz: float, ms: float) -> None:
    assert heard(quiet(500) + wave(hz, ms) + quiet(500)) == ["beep"]
    assert heard(quiet(500) + wave(hz, ms)) == []


def test_what_is_no_beep() -> None:
    assert heard(wave(1000, 60) + quiet(500)) == []  # too short
    assert heard(wave(1000, 4000) + quiet(500)) == []  # a line that hums
    assert heard(wave(1000, 400, 0.003) + quiet(500)) == []  # far away
    assert heard(wave(120, 400) + quiet(500)) == []  # mains
    noise = np.random.default_rng(1).normal(0, 3000, 16000).astype("<i2").tobytes()
    assert heard(noise) == []


def test_keys_are_two_tones_and_no_beep() -> None:
    low = np.frombuffer(wave(697, 300, 0.2), "<i2")
    both = (low + np.frombuffer(wave(1209, 300, 0.25), "<i2")).astype("<i2").tobytes()
    assert heard(both + quiet(300)) == []


def test_a_fax_calls_and_answers() -> None:
    calling = wave(1100, 500) + quiet(3000)
    assert heard(calling) == ["fax"]
    assert heard(wave(2100, 3000) + quiet(300)) == ["fax"]


def test_three_rising_tones_are_one_sign() -> None:
    sit = wave(950, 330) + wave(1400, 330) + wave(1800, 330)
    assert heard(quiet(200) + sit + quiet(500)) == ["sit"]


@needs_speech("en")
def test_people_make_no_tones() -> None:
    said = prompts("en", count=60)
    wrong = [p.name for p in said if heard(pcm16(p.audio)) and "beep" not in p.name]
    assert wrong == []
