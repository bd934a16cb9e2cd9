"""Keys as tones: measured by Goertzel's algorithm, as a receiver does."""

from __future__ import annotations

import cmath

import pytest

from chorus.audio.codec import decode
from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_16K, AudioFormat
from chorus.lines.dtmf import GAP_MS, HIGH_HZ, KEYS, LOW_HZ, TONE_MS, tones


def power(samples: list[int], hz: float, rate_hz: int) -> float:
    turn = cmath.exp(-2j * cmath.pi * hz / rate_hz)
    return abs(sum(s * turn**n for n, s in enumerate(samples))) / len(samples)


def key_heard(samples: list[int], rate_hz: int) -> str:
    low = max(LOW_HZ, key=lambda hz: power(samples, hz, rate_hz))
    high = max(HIGH_HZ, key=lambda hz: power(samples, hz, rate_hz))
    return KEYS[LOW_HZ.index(low) * 4 + HIGH_HZ.index(high)]


@pytest.mark.parametrize("format", [MULAW_8K, ALAW_8K, PCM_16K])
def test_every_key_is_its_two_tones(format: AudioFormat) -> None:
    sound = tones(KEYS, format)
    assert format.ms(len(sound)) == len(KEYS) * (TONE_MS + GAP_MS)
    for n, key in enumerate(KEYS):
        begin = format.size(n * (TONE_MS + GAP_MS))
        tone = sound[begin : begin + format.size(TONE_MS)]
        samples = list(memoryview(decode(format, tone)).cast("h"))
        assert key_heard(samples, format.rate_hz) == key
        assert max(map(abs, samples)) < 16_000
        gap = sound[begin + len(tone) : begin + format.size(TONE_MS + GAP_MS)]
        assert gap == format.silence(GAP_MS)


def test_pauses_are_silence() -> None:
    assert tones("wW", MULAW_8K) == MULAW_8K.silence(1500)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="'E' is no key"):
        tones("1E", MULAW_8K)
