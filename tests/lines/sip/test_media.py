"""Sound: order, losses, keys, statistics, strangers, encryption; without sockets."""

from __future__ import annotations

import random
from base64 import b64encode
from itertools import pairwise

import numpy as np
import pytest
from tests.lines.sip.streams import G722, THERE, End, agreed, spoken, voice

from chorus.audio import codec as samples
from chorus.audio.frame import MULAW_8K, PCM_16K
from chorus.lines.sip.media import rtcp, rtp
from chorus.lines.sip.media.conceal import Concealer
from chorus.lines.sip.media.keys import KeyReader, KeyWriter
from chorus.lines.sip.media.latch import NEEDED, Latch
from chorus.lines.sip.media.reorder import MOST_MS, Reorder
from chorus.lines.sip.sdp import Crypto


def test_what_is_played_arrives_as_it_was() -> None:
    packets = spoken()
    assert len(packets) == 50
    end = End()
    end.take(packets)
    assert end.audio == samples.encode(MULAW_8K, voice())
    assert [at_ms for _, at_ms in end.heard[:3]] == [0, 20, 40]


def test_wideband_is_heard_as_wideband() -> None:
    pytest.importorskip("G722")
    end = End(agreed(G722))
    end.take(spoken(G722))
    assert end.stream.format == PCM_16K
    heard = np.frombuffer(end.audio, "<i2").astype(float)
    said = np.frombuffer(voice(1000, 16000), "<i2").astype(float)
    best = max(np.corrcoef(heard[shift : shift + 12000], said[:12000])[0, 1] for shift in range(60))
    assert best > 0.95


def test_a_codec_that_changes_keeps_the_lines_format() -> None:
    pytest.importorskip("G722")
    end = End()
    end.take(spoken())
    before = len(end.heard)
    end.stream.agree(agreed(G722), THERE[0])
    end.take(spoken(G722), 1.0)
    assert end.stream.format == MULAW_8K
    more = b"".join(audio for audio, _ in end.heard[before:])
    assert abs(len(more) - 8000) < 100
    assert samples.rms(samples.decode(MULAW_8K, more[2000:])) > 3000
    end.stream.play(samples.encode(MULAW_8K, voice(200)))
    end.sent.clear()
    end.run(0.2, 2.0)
    assert all(packet[1] & 0x7F == 9 and len(packet) == 12 + 160 for packet in end.sent)


def test_silence_is_sent_where_nothing_is_said() -> None:
    end = End()
    end.run(0.1)
    assert len(end.sent) == 5
    packet = rtp.parse(end.sent[0])
    assert packet is not None
    assert packet.payload == MULAW_8K.silence(20)
    assert packet.marker


def test_nothing_is_sent_to_who_holds_and_time_goes_on() -> None:
    end = End(agreed(direction="recvonly"))
    end.stream.play(MULAW_8K.silence(1000))
    end.run(0.5)
    assert end.sent == []
    assert end.stream.left_ms == 500


def test_clear_takes_back_what_has_not_left() -> None:
    end = End()
    end.stream.play(MULAW_8K.silence(1000))
    at_s = end.run(0.2)
    end.stream.clear()
    assert (end.stream.sent_ms, end.stream.left_ms) == (200, 200)
    end.stream.play(MULAW_8K.silence(40))
    end.run(0.2, at_s)
    assert (end.stream.sent_ms, end.stream.left_ms) == (240, 240)


def test_after_a_stall_speech_goes_on_and_time_was_not_lost() -> None:
    end = End()
    end.stream.play(MULAW_8K.silence(1000))
    end.run(0.1)
    end.stream.tick(1.0)
    packets = [rtp.parse(data) for data in end.sent]
    assert len(packets) <= 8
    last = packets[-1]
    first = packets[0]
    assert last is not None
    assert first is not None
    assert (last.timestamp - first.timestamp) & 0xFFFFFFFF == pytest.approx(8000, abs=320)


def test_packets_out_of_order_are_put_in_order() -> None:
    packets = spoken()
    for at in range(0, 48, 3):
        packets[at + 1], packets[at + 2] = packets[at + 2], packets[at + 1]
    end = End()
    end.take(packets)
    assert end.audio == samples.encode(MULAW_8K, voice())
    assert end.stream.quality.loss == 0


def test_duplicates_are_heard_once() -> None:
    end = End()
    end.take([packet for packet in spoken() for _ in (0, 1)], step_s=0.01)
    assert end.audio == samples.encode(MULAW_8K, voice())


def test_a_lost_packet_is_filled_and_counted() -> None:
    packets = spoken()
    del packets[25]
    end = End()
    at_s = 0.0
    for number, packet in enumerate(packets):
        if number == 25:
            at_s += 0.02
        end.stream.received(packet, THERE, at_s)
        end.stream.tick(at_s)
        at_s += 0.02
    assert len(end.audio) == 8000
    quality = end.stream.quality
    assert quality.concealed_ms == 20
    assert quality.loss == pytest.approx(0.02)
    filled = samples.decode(MULAW_8K, end.audio)[25 * 320 : 26 * 320]
    assert samples.rms(filled) > 1500  # not a hole


def test_twenty_per_cent_loss_keeps_the_time_of_what_is_heard() -> None:
    chance = random.Random(1)
    end = End()
    at_s = 0.0
    for packet in spoken(ms=4000):
        if chance.random() > 0.2:
            end.stream.received(packet, THERE, at_s)
        end.stream.tick(at_s)
        at_s += 0.02
    end.run(0.5, at_s)
    assert end.stream.quality.loss == pytest.approx(0.2, abs=0.05)
    positions = [at_ms for _, at_ms in end.heard]
    assert positions == sorted(positions)
    assert positions[-1] + 20 == pytest.approx(4000, abs=60)
    assert len(end.audio) > 0.9 * 4 * 8000


def test_patience_grows_with_jitter_that_reorders() -> None:
    """200 ms of jitter: after the first losses it waits as long as it must."""
    chance = random.Random(2)
    arrivals = sorted(
        (number * 0.02 + chance.uniform(0, 0.2), packet)
        for number, packet in enumerate(spoken(ms=8000))
    )
    end = End()
    now_s = 0.0
    for due_s, packet in arrivals:
        while now_s + 0.02 <= due_s:
            now_s += 0.02
            end.stream.tick(now_s)
        end.stream.received(packet, THERE, due_s)
    end.run(1, now_s)
    assert end.stream.quality.late < 40
    assert 100 < end.stream._reorder.patience_ms <= MOST_MS
    assert len(end.audio) > 0.9 * 8 * 8000


def test_a_new_source_in_mid_call_is_followed_in_time() -> None:
    """A PBX that connects the caller with somebody else: other SSRC, sequence and timestamps."""
    end = End()
    at_s = end.take(spoken())
    end.take(spoken(), at_s + 0.5)
    assert len(end.audio) == 16000
    positions = [at_ms for _, at_ms in end.heard]
    assert positions[50] == pytest.approx(1500, abs=25)


def test_sequence_numbers_wrap() -> None:
    reorder = Reorder()
    got: list[int] = []
    for number in range(65_530, 65_546):
        packet = rtp.Packet(0, False, number & 0xFFFF, 0, 1, b"x")
        got += [ready.packet.sequence for ready in reorder.put(packet, 0.0)]
    assert got == [number & 0xFFFF for number in range(65_530, 65_546)]


def test_keys_are_told_once_a_press() -> None:
    end = End()
    assert end.stream.press("1*#")
    end.run(1.2)
    keys = [p for p in map(rtp.parse, end.sent) if p is not None and p.payload_type == 101]
    assert len({p.timestamp for p in keys}) == 3
    assert sum(p.marker for p in keys) == 3
    ends = [p for p in keys if p.payload[1] & 0x80]
    assert len(ends) == 9
    other = End()
    other.take(end.sent)
    assert other.keys == ["1", "*", "#"]


def test_a_key_is_told_though_only_its_end_arrives() -> None:
    end = End()
    end.stream.press("5")
    end.run(0.4)
    reader = KeyReader()
    packets = [p for p in map(rtp.parse, end.sent) if p is not None and p.payload_type == 101]
    assert [reader.packet(p.payload, p.timestamp) for p in packets[-2:]] == ["5", None]


def test_a_pause_between_keys() -> None:
    writer = KeyWriter(8000)
    writer.press("1w2")
    steps = [writer.step(20) for _ in range(60)]
    sent = [number for number, step in enumerate(steps) if step is not None]
    gaps = [b - a for a, b in pairwise(sent) if b - a > 1]
    assert gaps
    assert max(gaps) * 20 >= 500


def test_only_the_peer_is_heard() -> None:
    end = End()
    stranger = ("203.0.113.66", 5000)
    for packet in spoken():
        end.stream.received(packet, stranger, 0.0)
    assert end.heard == []
    assert end.stream.latch.target == THERE
    assert end.stream.quality.refused == 50


def test_behind_nat_the_same_address_is_followed_after_a_few_packets() -> None:
    latch = Latch()
    latch.expect("10.0.0.7", 4000, "203.0.113.5")
    place = ("203.0.113.5", 61_000)
    admitted = [latch.admits(place, 7, 0.0) for _ in range(NEEDED + 1)]
    assert admitted == [False, False, True, True]
    assert latch.target == place
    # Once it is heard, another port of the same address cannot take over…
    assert not any(latch.admits(("203.0.113.5", 62_000), 9, 1.0) for _ in range(10))
    # …before it has been silent, and never from elsewhere.
    assert not any(latch.admits(("203.0.113.99", 61_000), 9, 60.0) for _ in range(10))
    assert [latch.admits(("203.0.113.5", 62_000), 9, 60.0) for _ in range(3)][-1]


def test_the_described_address_wins_over_a_latched_one() -> None:
    latch = Latch()
    latch.expect("203.0.113.5", 4000, "203.0.113.5")
    for _ in range(NEEDED):
        latch.admits(("203.0.113.5", 61_000), 7, 0.0)
    assert latch.admits(("203.0.113.5", 4000), 8, 0.1)
    assert latch.target == ("203.0.113.5", 4000)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80" * 11, b"\x40" * 40, b"\x8f" + b"\x00" * 20,
                                  b"\x90" + b"\x00" * 12, b"\xa0" + b"\x00" * 11 + b"\xff",
                                  b"\x80" * 3000])  # fmt: skip
def test_what_is_no_rtp_is_dropped(data: bytes) -> None:
    end = End()
    end.stream.received(data, THERE, 0.0)
    end.stream.reported(data, THERE, 0.0)
    assert end.heard == []


def test_random_packets_do_not_hurt() -> None:
    chance = random.Random(5)
    end = End()
    good = spoken()
    for number in range(3000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        end.stream.received(bytes(data[: chance.randrange(200)]), THERE, number * 0.01)
        end.stream.tick(number * 0.01)
    assert len(end.stream._reorder._held) <= 64


def test_reports_tell_loss_and_round_trip() -> None:
    one, other = End(), End()
    packets = spoken()
    one.run(0.1)
    one_report = one.reports[0]
    assert rtp.is_rtcp(one_report)
    other.stream.reported(one_report, THERE, 10.0)
    for number, packet in enumerate(packets):
        if number % 5:
            other.stream.received(packet, THERE, 10.0 + number * 0.02)
    peer = rtcp.PeerReport()
    peer.last_sr, peer.last_sr_s = other.stream._peer.last_sr, 10.0
    sent = rtcp.Sent(1, 10, 100, 0)
    reception = other.stream._reception
    assert reception is not None
    reception.ssrc = one.stream._ssrc
    report = rtcp.report(sent, reception, peer, 11.0, other.wall_s)
    one.wall_s += 1.1  # a second there, 100 ms on the way
    one.stream.reported(report, THERE, 1.1)
    quality = one.stream.quality
    assert quality.remote_loss == pytest.approx(0.2, abs=0.03)
    assert quality.round_trip_ms == pytest.approx(100, abs=1)
    assert quality.mos < 3.5
    assert rtcp.mos(0, 2, 40) > 4.2


def _keys() -> tuple[Crypto, Crypto]:
    suite = "AES_CM_128_HMAC_SHA1_80"
    one, other = (b64encode(bytes([n]) * 30).decode() for n in (1, 2))
    return Crypto(1, suite, one), Crypto(1, suite, other)


def test_srtp_both_ways_and_nothing_in_the_clear() -> None:
    pytest.importorskip("pylibsrtp")
    ours, theirs = _keys()
    one = End(agreed(send_key=ours, receive_key=theirs))
    other = End(agreed(send_key=theirs, receive_key=ours))
    one.stream.play(samples.encode(MULAW_8K, voice()))
    one.run(1)
    other.take(one.sent)
    assert other.audio == samples.encode(MULAW_8K, voice())
    heard = len(other.audio)
    other.take(spoken(), 2.0)  # not encrypted
    other.take(one.sent, 3.0)  # replayed
    assert len(other.audio) == heard
    other.stream.reported(one.reports[0], THERE, 4.0)
    assert other.stream._peer.last_sr


def test_concealment_fades_and_is_bounded() -> None:
    concealer = Concealer(8000)
    assert concealer.fill(20) == b""
    concealer.heard(voice(100))
    filled = concealer.fill(500)
    assert len(filled) == 60 * 16
    assert samples.rms(filled[:320]) > 2 * samples.rms(filled[-320:])


def test_comfort_noise_is_a_pause_and_no_loss() -> None:
    """RFC 3389: a packet of type 13, then nothing until somebody speaks again."""
    packets = spoken(ms=200)
    noise = rtp.parse(packets[5])
    assert noise is not None
    speech = [rtp.parse(each) for each in packets[6:]]
    end = End()
    now_s = end.take(packets[:5])
    end.take([rtp.build(13, False, noise.sequence, noise.timestamp, noise.ssrc, b"\x40")], now_s)
    now_s = end.run(1.0, now_s)
    for each in speech:
        assert each is not None
        late = each._replace(timestamp=(each.timestamp + 8000) & 0xFFFFFFFF)
        end.take([rtp.build(late.payload_type, False, *late[2:])], now_s)
        now_s += 0.02
    assert [at_ms for _, at_ms in end.heard[4:6]] == [80, 1120]
    assert end.stream.concealed_ms == 0
    assert end.stream.quality.loss == 0
