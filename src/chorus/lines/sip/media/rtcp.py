"""What arrives and how: loss, jitter and round trip of a call (RFC 3550 §6.4, A.1, A.3, A.8).

`Reception` counts what comes in, `report` writes a sender or receiver report with it, `read` takes
the other side's. `mos` estimates how good the call sounds from those numbers (ITU-T G.107, with
the usual shortening for VoIP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

REPORT_EVERY_S = 5.0
_NTP_EPOCH_S = 2_208_988_800
_SR = struct.Struct("!BBHIIIIII")
_RR = struct.Struct("!BBHI")
_BLOCK = struct.Struct("!IIIIII")
_SDES = struct.Struct("!BBHIBB")


class Reception:
    """What came in of one SSRC, in the units of its clock."""

    __slots__ = (
        "_base", "_cycles", "_expected_before", "_highest", "_received_before", "_transit",
        "clock_hz", "jitter_units", "received", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, sequence: int, clock_hz: int) -> None:
        self.ssrc = ssrc
        self.clock_hz = clock_hz
        self.received = 0
        self.jitter_units = 0.0
        self._base = self._highest = sequence
        self._cycles = 0
        self._transit: float | None = None
        self._expected_before = self._received_before = 0

    def packet(self, sequence: int, timestamp: int, now_s: float) -> None:
        self.received += 1
        ahead = (sequence - self._highest) & 0xFFFF
        if 0 < ahead < 0x8000:
            if sequence < self._highest:
                self._cycles += 1 << 16
            self._highest = sequence
        transit = now_s * self.clock_hz - timestamp
        if self._transit is not None:
            # Beyond a second it is no jitter but another time base (a new source, a wrap).
            difference = abs(transit - self._transit)
            if difference < self.clock_hz:
                self.jitter_units += (difference - self.jitter_units) / 16
        self._transit = transit

    @property
    def extended(self) -> int:
        return self._cycles + self._highest

    @property
    def expected(self) -> int:
        return self.extended - self._base + 1

    @property
    def lost(self) -> int:
        return max(self.expected - self.received, 0)

    @property
    def jitter_ms(self) -> float:
        return self.jitter_units * 1000 / self.clock_hz

    def fraction_lost(self) -> int:
        """Since the last time, of 256."""
        expected = self.expected - self._expected_before
        received = self.received - self._received_before
        self._expected_before, self._received_before = self.expected, self.received
        if expected <= 0 or received >= expected:
            return 0
        return min((expected - received) * 256 // expected, 255)


class Sent(NamedTuple):
    ssrc: int
    packets: int
    octets: int
    timestamp: int


@dataclass(slots=True)
class PeerReport:
    """What the other side reports of our stream, and what a report needs of theirs."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    last_sr: int = 0
    last_sr_s: float = 0.0


def report(
    sent: Sent, reception: Reception | None, peer: PeerReport, now_s: float, wall_s: float
) -> bytes:
    """SR (or RR, if nothing was sent) and SDES. `wall_s` is the date, `now_s` the loop's time."""
    block = b""
    if reception is not None:
        delay = int((now_s - peer.last_sr_s) * 65536) if peer.last_sr else 0
        lost = min(reception.lost, 0x7FFFFF) | reception.fraction_lost() << 24
        block = _BLOCK.pack(
            reception.ssrc,
            lost,
            reception.extended & 0xFFFFFFFF,
            int(reception.jitter_units),
            peer.last_sr,
            delay & 0xFFFFFFFF,
        )
    count = 1 if block else 0
    if sent.packets:
        seconds, fraction = _ntp(wall_s)
        length = (28 + len(block)) // 4 - 1
        head = _SR.pack(
            0x80 | count, 200, length, sent.ssrc, seconds, fraction, sent.timestamp,
            sent.packets & 0xFFFFFFFF, sent.octets & 0xFFFFFFFF,
        )  # fmt: skip
    else:
        head = _RR.pack(0x80 | count, 201, (8 + len(block)) // 4 - 1, sent.ssrc)
    name = b"chorus"
    item = _SDES.pack(0x81, 202, 0, sent.ssrc, 1, len(name)) + name
    item += b"\0" * (4 - len(item) % 4)
    item = item[:2] + struct.pack("!H", len(item) // 4 - 1) + item[4:]
    return head + block + item


def read(
    data: bytes, ssrc: int, clock_hz: int, peer: PeerReport, now_s: float, wall_s: float
) -> bool:
    """Take a compound packet; `ssrc` is ours. False for what is none."""
    at = 0
    known = False
    while at + 8 <= len(data):
        first, kind, words = data[at], data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 4 * (words + 1)
        if first >> 6 != 2 or end > len(data):
            return known
        blocks = at + 8
        if kind == 200 and end - at >= 28:
            known = True
            seconds, fraction = struct.unpack_from("!II", data, at + 8)
            peer.last_sr = (seconds & 0xFFFF) << 16 | fraction >> 16
            peer.last_sr_s = now_s
            blocks = at + 28
        elif kind == 201:
            known = True
        if kind in (200, 201):
            for each in range(first & 0x1F):
                begin = blocks + 24 * each
                if begin + 24 > end:
                    break
                _take_block(data, begin, ssrc, clock_hz, peer, wall_s)
        at = end
    return known


def _take_block(
    data: bytes, at: int, ssrc: int, clock_hz: int, peer: PeerReport, wall_s: float
) -> None:
    about, lost, _, jitter, last_sr, delay = _BLOCK.unpack_from(data, at)
    if about != ssrc:
        return
    peer.loss = (lost >> 24) / 256
    peer.jitter_ms = jitter * 1000 / clock_hz
    if last_sr:
        seconds, fraction = _ntp(wall_s)
        now = (seconds & 0xFFFF) << 16 | fraction >> 16
        round_trip = ((now - last_sr - delay) & 0xFFFFFFFF) * 1000 / 65536
        if round_trip < 10_000:
            peer.round_trip_ms = round_trip


def _ntp(wall_s: float) -> tuple[int, int]:
    whole = int(wall_s)
    return whole + _NTP_EPOCH_S & 0xFFFFFFFF, int((wall_s - whole) * 2**32) & 0xFFFFFFFF


def mos(loss: float, jitter_ms: float, round_trip_ms: float) -> float:
    """1 (nothing understood) to 4.4 (as good as G.711 gets), from the share lost, the jitter and
    the round trip. R of ITU-T G.107 with its loss for G.711 with concealment (Bpl 25.1, Ie 0)."""
    delay_ms = round_trip_ms / 2 + jitter_ms * 2 + 20
    r = 93.2 - delay_ms * 0.024 - max(delay_ms - 177.3, 0.0) * 0.11
    percent = loss * 100
    r -= 95 * percent / (percent + 25.1)
    r = min(max(r, 0.0), 100.0)
    return round(1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r), 2)
