"""Sound: order, losses, keys, statistics, strangers, encryption; without sockets."""

from __future__ import annotations

import random
from base64 import b64encode
from itertools import pairwise

import numpy as np
import pytest

from chorus.audio import codec as samples
from chorus.audio.frame import MULAW_8K, PCM_16K
from chorus.lines.sip.media import rtcp, rtp
from chorus.lines.sip.media.conceal import Concealer
from chorus.lines.sip.media.keys import KeyReader, KeyWriter
from chorus.lines.sip.media.latch import NEEDED, Latch
from chorus.lines.sip.media.reorder import MOST_MS, Reorder
from chorus.lines.sip.media.stream import MediaStream
from chorus.lines.sip.negotiate import Agreed
from chorus.lines.sip.sdp import Crypto, Format

PCMU = Format(0, "PCMU", 8000)
G722 = Format(9, "G722", 8000)
HERE, THERE = ("192.0.2.1", 4000), ("192.0.2.2", 5000)


def _agreed(codec: Format = PCMU, direction: str = "sendrecv", **more: object) -> Agreed:
    values = {
        "codec": codec, "events": 101, "host": THERE[0], "port": THERE[1],
        "rtcp_port": THERE[1] + 1, "direction": direction, "ptime_ms": 20,
    }  # fmt: skip
    return Agreed(**{**values, **more})  # type: ignore[arg-type]


class End:
    """A stream, what it sent, and what it heard."""

    def __init__(self, agreed: Agreed | None = None) -> None:
        self.sent: list[bytes] = []
        self.reports: list[bytes] = []
        self.heard: list[tuple[bytes, float]] = []
        self.keys: list[str] = []
        self.wall_s = 1_700_000_000.0
        self.stream = MediaStream(
            lambda data, place: self.sent.append(data),
            lambda data, place: self.reports.append(data),
            lambda audio, at_ms: self.heard.append((audio, at_ms)),
            self.keys.append,
            lambda: self.wall_s,
        )
        self.stream.agree(agreed or _agreed(), THERE[0])

    def run(self, seconds: float, at_s: float = 0.0) -> float:
        for _ in range(round(seconds / 0.02)):
            self.stream.tick(at_s)
            at_s += 0.02
        return at_s

    def take(self, packets: list[bytes], at_s: float = 0.0, step_s: float = 0.02) -> float:
        for packet in packets:
            self.stream.received(packet, THERE, at_s)
            at_s += step_s
        return at_s

    @property
    def audio(self) -> bytes:
        return b"".join(audio for audio, _ in self.heard)


def _voice(ms: int = 1000, rate_hz: int = 8000) -> bytes:
    at = np.arange(ms * rate_hz // 1000) / rate_hz
    wave = 8000 * np.sin(2 * np.pi * 200 * at) * (1 + 0.3 * np.sin(2 * np.pi * 3 * at))
    return wave.astype("<i2").tobytes()


def _spoken(codec: Format = PCMU, ms: int = 1000) -> list[bytes]:
    end = End(_agreed(codec))
    format = end.stream.format
    end.stream.play(samples.encode(format, _voice(ms, format.rate_hz)))
    end.run(ms / 1000)
    return end.sent


def test_what_is_played_arrives_as_it_was() -> None:
    packets = _spoken()
    assert len(packets) == 50
    end = End()
    end.take(packets)
    assert end.audio == samples.encode(MULAW_8K, _voice())
    assert [at_ms for _, at_ms in end.heard[:3]] == [0, 20, 40]


def test_wideband_is_heard_as_wideband() -> None:
    pytest.importorskip("G722")
    end = End(_agreed(G722))
    end.take(_spoken(G722))
    assert end.stream.format == PCM_16K
    heard = np.frombuffer(end.audio, "<i2").astype(float)
    said = np.frombuffer(_voice(1000, 16000), "<i2").astype(float)
    best = max(np.corrcoef(heard[shift : shift + 12000], said[:12000])[0, 1] for shift in range(60))
    assert best > 0.95


def test_a_codec_that_changes_keeps_the_lines_format() -> None:
    pytest.importorskip("G722")
    end = End()
    end.take(_spoken())
    before = len(end.heard)
    end.stream.agree(_agreed(G722), THERE[0])
    end.take(_spoken(G722), 1.0)
    assert end.stream.format == MULAW_8K
    more = b"".join(audio for audio, _ in end.heard[before:])
    assert abs(len(more) - 8000) < 100
    assert samples.rms(samples.decode(MULAW_8K, more[2000:])) > 3000
    end.stream.play(samples.encode(MULAW_8K, _voice(200)))
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
    end = End(_agreed(direction="recvonly"))
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
    packets = _spoken()
    for at in range(0, 48, 3):
        packets[at + 1], packets[at + 2] = packets[at + 2], packets[at + 1]
    end = End()
    end.take(packets)
    assert end.audio == samples.encode(MULAW_8K, _voice())
    assert end.stream.quality.loss == 0


def test_duplicates_are_heard_once() -> None:
    end = End()
    end.take([packet for packet in _spoken() for _ in (0, 1)], step_s=0.01)
    assert end.audio == samples.encode(MULAW_8K, _voice())


def test_a_lost_packet_is_filled_and_counted() -> None:
    packets = _spoken()
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
    for packet in _spoken(ms=4000):
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
        for number, packet in enumerate(_spoken(ms=8000))
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
    at_s = end.take(_spoken())
    end.take(_spoken(), at_s + 0.5)
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
    for packet in _spoken():
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
    good = _spoken()
    for number in range(3000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        end.stream.received(bytes(data[: chance.randrange(200)]), THERE, number * 0.01)
        end.stream.tick(number * 0.01)
    assert len(end.stream._reorder._held) <= 64


def test_reports_tell_loss_and_round_trip() -> None:
    one, other = End(), End()
    packets = _spoken()
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
    one = End(_agreed(send_key=ours, receive_key=theirs))
    other = End(_agreed(send_key=theirs, receive_key=ours))
    one.stream.play(samples.encode(MULAW_8K, _voice()))
    one.run(1)
    other.take(one.sent)
    assert other.audio == samples.encode(MULAW_8K, _voice())
    heard = len(other.audio)
    other.take(_spoken(), 2.0)  # not encrypted
    other.take(one.sent, 3.0)  # replayed
    assert len(other.audio) == heard
    other.stream.reported(one.reports[0], THERE, 4.0)
    assert other.stream._peer.last_sr


def test_concealment_fades_and_is_bounded() -> None:
    concealer = Concealer(8000)
    assert concealer.fill(20) == b""
    concealer.heard(_voice(100))
    filled = concealer.fill(500)
    assert len(filled) == 60 * 16
    assert samples.rms(filled[:320]) > 2 * samples.rms(filled[-320:])


def test_comfort_noise_is_a_pause_and_no_loss() -> None:
    """RFC 3389: a packet of type 13, then nothing until somebody speaks again."""
    packets = _spoken(ms=200)
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
