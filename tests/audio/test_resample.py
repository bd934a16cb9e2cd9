"""What a resampler does to tones, and that it does not matter how a stream is cut."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chorus.audio import codec
from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_8K, PCM_16K, RATES_HZ, AudioFormat
from chorus.audio.resample import Converter, Resampler

AMPLITUDE = 16000.0
PAIRS = [
    (8000, 16000),
    (16000, 8000),
    (24000, 8000),
    (8000, 24000),
    (48000, 8000),
    (44100, 8000),
    (8000, 44100),
    (16000, 24000),
    (24000, 16000),
]


def tone(hz: float, rate_hz: int, seconds: float = 0.5) -> bytes:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * hz * t)).astype("<i2").tobytes()


def live(pcm16: bytes, from_hz: int, to_hz: int) -> bytes:
    """As a call would: 20 ms at a time."""
    resampler, size = Resampler(from_hz, to_hz), from_hz // 50 * 2
    pieces = [resampler.feed(pcm16[i : i + size]) for i in range(0, len(pcm16), size)]
    return b"".join(pieces) + resampler.flush()


def middle(pcm16: bytes) -> np.ndarray:
    samples = np.frombuffer(pcm16, "<i2").astype(float)
    return samples[len(samples) // 4 : len(samples) * 3 // 4]


def fit(pcm16: bytes, hz: float, rate_hz: int) -> tuple[float, float, float]:
    """Signal to noise in dB, gain in dB and phase in degrees of a tone, away from the ends."""
    samples = middle(pcm16)
    t = (np.arange(len(samples)) + len(pcm16) // 2 // 4) / rate_hz
    waves = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], 1)
    parts, *_ = np.linalg.lstsq(waves, samples, rcond=None)
    rest = samples - waves @ parts
    snr = 10 * math.log10(np.sum((waves @ parts) ** 2) / max(np.sum(rest**2), 1e-9))
    gain = 20 * math.log10(np.hypot(*parts) / AMPLITUDE)
    return snr, gain, math.degrees(math.atan2(parts[1], parts[0]))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
@pytest.mark.parametrize("hz", [300, 1000, 2000, 3000, 3400])
def test_a_tone_of_the_telephone_band_comes_through_clean_and_in_place(from_hz, to_hz, hz):
    snr, gain, phase = fit(live(tone(hz, from_hz), from_hz, to_hz), hz, to_hz)
    assert snr > 55
    assert abs(gain) < 0.1
    assert abs(phase) < 0.5


@pytest.mark.parametrize("from_hz", [16000, 24000, 44100, 48000])
@pytest.mark.parametrize("hz", [4600, 5000, 6000, 7500])
def test_what_the_lower_rate_cannot_hold_is_gone_instead_of_folded(from_hz, hz):
    left = np.sqrt(np.mean(middle(live(tone(hz, from_hz), from_hz, 8000)) ** 2))
    assert 20 * math.log10(max(left, 1e-3) / (AMPLITUDE / math.sqrt(2))) < -55


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_length_and_delay(from_hz, to_hz):
    resampler = Resampler(from_hz, to_hz)
    first = resampler.feed(tone(440, from_hz, 0.02))
    missing_ms = 20 - len(first) / 2 * 1000 / to_hz
    assert missing_ms <= resampler.delay_ms + 1000 / to_hz <= 1.7
    assert len(first + resampler.flush()) // 2 == math.ceil(from_hz // 50 * to_hz / from_hz)


@given(
    pair=st.sampled_from(PAIRS),
    pcm16=st.binary(max_size=1500),
    cuts=st.lists(st.integers(0, 1500), max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_chunks_do_not_matter(pair, pcm16, cuts):
    resampler, edges = Resampler(*pair), [0, *sorted(cuts), len(pcm16)]
    cut = b"".join(resampler.feed(pcm16[a:b]) for a, b in pairwise(edges))
    # The last edge may lie before the cuts beyond the end; those fed nothing.
    whole = Resampler(*pair)
    assert cut + resampler.flush() == whole.feed(pcm16) + whole.flush()


def test_after_a_flush_it_is_as_new():
    resampler = Resampler(8000, 16000)
    once = resampler.feed(tone(440, 8000, 0.05) + b"\x01") + resampler.flush()
    assert resampler.feed(tone(440, 8000, 0.05)) + resampler.flush() == once


def test_full_scale_clips_instead_of_wrapping():
    square = np.repeat(np.array([32767, -32768] * 20, "<i2"), 20).tobytes()
    out = np.frombuffer(live(square, 8000, 16000), "<i2").reshape(-1, 40)
    assert (out[0::2, 5:-5] > 25000).all()
    assert (out[1::2, 5:-5] < -25000).all()


def test_equal_rates_pass_through_and_still_mend_split_samples():
    resampler = Resampler(8000, 8000)
    assert resampler.delay_ms == 0
    assert resampler.feed(b"abc") == b"ab"
    assert resampler.feed(b"d") == b"cd"
    assert resampler.flush() == b""


@pytest.mark.parametrize("rates", [(8000, 11025), (0, 8000), (-8000, 8000)])
def test_unknown_rates_are_refused(rates):
    with pytest.raises(ValueError, match="unsupported sample rate"):
        Resampler(*rates)


@pytest.mark.parametrize(
    ("source", "target"),
    [(MULAW_8K, PCM_16K), (PCM_16K, ALAW_8K), (MULAW_8K, ALAW_8K), (PCM_8K, MULAW_8K)],
)
def test_a_converter_is_decode_resample_encode(source: AudioFormat, target: AudioFormat):
    audio = codec.encode(source, tone(700, source.rate_hz))
    converter, size = Converter(source, target), 333  # splits samples of pcm16
    out = [converter.feed(audio[i : i + size]) for i in range(0, len(audio), size)]
    pcm16 = codec.decode(target, b"".join(out) + converter.flush())
    snr, gain, _ = fit(pcm16, 700, target.rate_hz)
    assert snr > 30  # what G.711 leaves
    assert abs(gain) < 0.2
    assert len(pcm16) // 2 == target.rate_hz // 2


def test_a_converter_between_equal_formats_does_nothing():
    converter = Converter(MULAW_8K, MULAW_8K)
    assert converter.feed(b"abc") == b"abc"
    assert converter.flush() == b""
    assert converter.delay_ms == 0


def test_every_pair_of_known_rates_keeps_a_constant():
    for from_hz in RATES_HZ:
        for to_hz in RATES_HZ:
            out = live(np.full(from_hz // 10, 12345, "<i2").tobytes(), from_hz, to_hz)
            assert np.abs(middle(out) - 12345).max() <= 12, (from_hz, to_hz)
