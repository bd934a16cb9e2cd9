"""Opus in a stream: its clock, its lengths, what was lost, and what the other side asks for."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from tests.lines.sip.streams import THERE, End, agreed, spoken, voice

from chorus.audio.frame import PCM_16K
from chorus.lines.sip.media import rtp
from chorus.lines.sip.media.codecs import usable
from chorus.lines.sip.sdp import Format

pytestmark = pytest.mark.skipif(not usable(("OPUS",)), reason="libopus is not installed")
OPUS = Format(96, "OPUS", 48000, 2, "useinbandfec=1")


def _likeness(heard: bytes, said: bytes) -> float:
    """How well the first 0.75 s agree, 1 for the same, whatever the codec's delay of ≤ 20 ms."""
    one = np.frombuffer(heard, "<i2").astype(float)
    other = np.frombuffer(said, "<i2").astype(float)[:12000]
    return max(np.corrcoef(one[shift : shift + 12000], other)[0, 1] for shift in range(0, 320, 2))


def test_opus_is_heard_as_wideband_with_its_own_clock() -> None:
    packets = spoken(OPUS)
    stamps = [packet.timestamp for packet in map(rtp.parse, packets) if packet is not None]
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)} == {960}
    assert sum(map(len, packets)) < 50 * (12 + 100)
    end = End(agreed(OPUS))
    end.take(packets)
    assert end.stream.format == PCM_16K
    assert [at_ms for _, at_ms in end.heard[:3]] == [0, 20, 40]
    assert _likeness(end.audio, voice(1000, 16000)) > 0.95


def test_what_opus_lost_is_taken_from_the_next_packet() -> None:
    """In-band FEC: the lost sound is there, not a continuation of what was before it."""
    at = np.arange(32000) / 16000
    # Every 20 ms another tone, so that nothing can be guessed from what was before.
    hz = np.random.default_rng(3).uniform(200, 900, 100).repeat(320)
    said = (8000 * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()

    def heard(fmtp: str) -> float:
        codec = Format(96, "OPUS", 48000, 2, fmtp)
        talker = End(agreed(codec))
        assert talker.stream._codec is not None
        talker.stream._codec.suffers(0.2)
        talker.stream.play(said)
        talker.run(2)
        end = End(agreed(OPUS))
        at_s = 0.0
        for number, packet in enumerate(talker.sent):
            if number % 4 != 3:
                end.stream.received(packet, THERE, at_s)
            end.stream.tick(at_s)
            at_s += 0.02
        end.run(0.1, at_s)
        assert len(end.audio) == pytest.approx(64000, abs=640)
        assert end.stream.quality.concealed_ms == pytest.approx(480, abs=20)
        return _likeness(end.audio, said)

    assert heard("useinbandfec=1") > heard("useinbandfec=0") + 0.1


@pytest.mark.parametrize("ptime_ms", [10, 20, 40, 60])
def test_opus_in_packets_of_other_lengths(ptime_ms: int) -> None:
    talker = End(agreed(OPUS, ptime_ms=ptime_ms))
    talker.stream.play(voice(600, 16000))
    talker.run(0.6)
    end = End(agreed(OPUS))
    end.take(talker.sent)
    assert len(end.audio) == len(talker.sent) * ptime_ms * 32


def test_what_is_no_opus_does_not_hurt() -> None:
    end = End(agreed(OPUS))
    chance = random.Random(4)
    for number, packet in enumerate(spoken(OPUS)):
        broken = packet[:12] + chance.randbytes(chance.randrange(200))
        end.stream.received(broken, THERE, number * 0.02)
        end.stream.tick(number * 0.02)
    assert len(end.audio) <= 50 * 32 * 120


def test_a_telephone_limits_what_opus_sends() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, 16000).astype("<i2").tobytes()
    sizes = []
    for fmtp in ("useinbandfec=1", "maxaveragebitrate=12000; cbr=1", "maxaveragebitrate=x;=;"):
        end = End(agreed(Format(111, "OPUS", 48000, 2, fmtp)))
        end.stream.play(noise)
        end.run(1)
        sizes.append([len(packet) - 12 for packet in end.sent])
    assert sum(sizes[1]) < 0.7 * sum(sizes[0])
    assert set(sizes[1]) == {30}
    assert sum(sizes[2]) > 1.5 * sum(sizes[1])
