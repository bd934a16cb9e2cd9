"""G.711 against its definition, code by code."""

from __future__ import annotations

import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.audio import codec
from chorus.audio.frame import ALAW_8K, MULAW_8K, PCM_8K

ALL_CODES = bytes(range(256))


def mulaw_value(code: int) -> int:
    """ITU-T G.711 table 2a, as its formula, at 16 bits."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 0x07)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def alaw_value(code: int) -> int:
    """ITU-T G.711 table 1a, as its formula, at 16 bits."""
    code ^= 0x55
    segment, step = code >> 4 & 0x07, code & 0x0F
    magnitude = (step << 4) + 8 if segment == 0 else (step << 4) + 0x108 << segment - 1
    return magnitude if code & 0x80 else -magnitude


def samples(pcm16: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm16) // 2}h", pcm16))


def test_every_mulaw_code_has_the_value_of_the_standard():
    assert samples(codec.decode(MULAW_8K, ALL_CODES)) == [mulaw_value(c) for c in range(256)]


def test_every_alaw_code_has_the_value_of_the_standard():
    assert samples(codec.decode(ALAW_8K, ALL_CODES)) == [alaw_value(c) for c in range(256)]


def test_values_known_from_the_tables():
    assert samples(codec.decode(MULAW_8K, b"\x00\x80\xff\x7f")) == [-32124, 32124, 0, 0]
    assert samples(codec.decode(ALAW_8K, b"\x2a\xaa\xd5\x55")) == [-32256, 32256, 8, -8]


@pytest.mark.parametrize("format", [MULAW_8K, ALAW_8K])
def test_every_code_survives_the_way_through_linear(format):
    again = codec.encode(format, codec.decode(format, ALL_CODES))
    # µ-law has two zeros, of which the encoder writes the positive one.
    expected = ALL_CODES.replace(b"\x7f", b"\xff") if format is MULAW_8K else ALL_CODES
    assert again == expected


@pytest.mark.parametrize("format", [MULAW_8K, ALAW_8K])
@given(st.integers(-32768, 32767))
def test_a_sample_comes_back_within_its_step(format, value):
    [back] = samples(codec.decode(format, codec.encode(format, struct.pack("<h", value))))
    # The widest step of either law is 1024 at the top; below, steps are about 1/16 of it.
    assert abs(back - value) <= max(16, abs(value) / 16 + 8, abs(value) - 32124)


@pytest.mark.parametrize("format", [MULAW_8K, ALAW_8K, PCM_8K])
def test_silence_is_what_the_encoder_makes_of_zeros(format):
    assert codec.encode(format, bytes(320)) == format.silence(20)


def test_linear_passes_through():
    assert codec.decode(PCM_8K, b"\x01\x02") == codec.encode(PCM_8K, b"\x01\x02") == b"\x01\x02"


def test_levels():
    pcm16 = struct.pack("<4h", 3, -4, 3, -4)
    assert codec.rms(pcm16) == 3  # 3.53…, whole
    assert codec.peak(pcm16) == 4
    assert codec.peak(struct.pack("<h", -32768)) == 32768
    assert codec.rms(b"") == codec.peak(b"") == 0


def test_mixing_and_scaling_clip_instead_of_wrapping():
    loud = struct.pack("<2h", 30000, -30000)
    assert samples(codec.mixed(loud, loud)) == [32767, -32768]
    assert samples(codec.scaled(loud, 2.0)) == [32767, -32768]
    assert samples(codec.scaled(loud, 0.5)) == [15000, -15000]


def test_half_a_sample_is_refused():
    for call in (
        lambda: codec.encode(MULAW_8K, b"\x00"),
        lambda: codec.rms(b"\x00"),
        lambda: codec.peak(b"\x00"),
        lambda: codec.scaled(b"\x00", 1.0),
        lambda: codec.mixed(b"\x00", b"\x00"),
    ):
        with pytest.raises(ValueError, match="half a sample"):
            call()
    with pytest.raises(ValueError, match="cannot mix 2 bytes with 4"):
        codec.mixed(b"\x00\x00", bytes(4))


def test_importing_warns_of_nothing_and_hides_no_other_warning():
    code = (
        "import warnings; before = list(warnings.filters)\n"
        "import chorus.audio.codec\n"
        "assert warnings.filters == before"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
