"""RTP packets: from bytes and back (RFC 3550 §5.1)."""

from __future__ import annotations

import struct
from typing import NamedTuple

_HEAD = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
HEADER_BYTES = 12
MOST_BYTES = 1500
"""A larger packet is no audio of a call."""


class Packet(NamedTuple):
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """None for what is no RTP: another version, too short, a length that lies."""
    size = len(data)
    if size < HEADER_BYTES or size > MOST_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEAD.unpack_from(data)
    if first >> 6 != 2:
        return None
    begin = HEADER_BYTES + 4 * (first & 0x0F)
    if first & 0x10:
        if begin + 4 > size:
            return None
        begin += 4 + 4 * _EXTENSION.unpack_from(data, begin)[1]
    if begin > size:
        return None
    end = size
    if first & 0x20:
        padding = data[-1]
        if padding == 0 or begin + padding > size:
            return None
        end -= padding
    return Packet(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[begin:end])


def build(
    payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes
) -> bytes:
    second = payload_type | 0x80 if marker else payload_type
    return _HEAD.pack(0x80, second, sequence, timestamp, ssrc) + payload


def is_rtcp(data: bytes) -> bool:
    """On a port that both share (RFC 5761 §4)."""
    return len(data) >= 8 and data[0] >> 6 == 2 and 192 <= data[1] <= 223
