"""A background sound under a voice: its length, its place in the loop, its level."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K, PCM_8K
from chorus.audio.mix import Background


def pcm(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def test_the_loop_goes_on_whether_the_agent_speaks_or_not():
    loop = pcm(*range(0, 2000, 10))  # 200 samples, 25 ms
    background = Background(loop, 0.5, PCM_8K)
    half = codec.scaled(loop, 0.5)
    assert background.under(None, 20) == half[:320]
    spoken = background.under(pcm(*[1000] * 160), 20)
    expected = (half[320:] + half)[:320]
    assert spoken == codec.mixed(expected, pcm(*[1000] * 160))
    assert background.under(b"", 5) == half[240:320]


@given(st.lists(st.integers(0, 90), max_size=8), st.integers(1, 50))
def test_pieces_of_any_length_make_one_loop(lengths, count):
    loop = pcm(*range(1, count + 1))
    background = Background(loop, 1.0, PCM_8K)
    got = b"".join(background.under(None, ms) for ms in lengths)
    assert got == (loop * (len(got) // len(loop) + 1))[: len(got)]
    assert len(got) == PCM_8K.size(sum(lengths))


def test_a_short_voice_is_followed_by_the_sound_alone():
    background = Background(pcm(100), 1.0, PCM_8K)
    assert background.under(pcm(7, 7), 1) == pcm(107, 107, *[100] * 6)


def test_loud_on_loud_clips():
    background = Background(pcm(30000, -30000), 1.0, PCM_8K)
    assert background.under(pcm(*[30000, -30000] * 4), 1) == pcm(*[32767, -32768] * 4)


def test_in_the_format_of_a_line():
    background = Background(pcm(4000, -4000), 0.25, MULAW_8K)
    alone = background.under(None, 20)
    assert len(alone) == 160
    assert alone == codec.encode(MULAW_8K, pcm(*[1000, -1000] * 80))
    both = background.under(codec.encode(MULAW_8K, pcm(*[8000] * 160)), 20)
    assert len(both) == 160
    assert abs(codec.peak(codec.decode(MULAW_8K, both)) - 9000) < 300


def test_volume_zero_is_silence():
    background = Background(pcm(4000, -4000), 0.0, MULAW_8K)
    assert background.under(None, 20) == MULAW_8K.silence(20)


def test_nonsense_is_refused():
    for sound in (b"", b"abc"):
        with pytest.raises(ValueError, match="no pcm16 to loop"):
            Background(sound, 0.5, PCM_8K)
    for volume in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="not between 0 and 1"):
            Background(pcm(1), volume, PCM_8K)
    with pytest.raises(ValueError, match="longer than 20 ms"):
        Background(pcm(1), 0.5, PCM_8K).under(bytes(322), 20)
