"""Reading and writing messages of protobuf, an ONNX file's and a vendor's, without its library.

Enough of the wire format (https://protobuf.dev/programming-guides/encoding/) to find the
fields of a message, leave some out and append others; what is not touched stays as it is,
byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


class Field(NamedTuple):
    """`raw` is the field as it stands in its message, `content` what it holds: empty for a
    number."""

    number: int
    raw: memoryview
    content: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in order. `ValueError` if it is no such message."""
    at = 0
    while at < len(message):
        began = at
        key, at = _varint(message, at)
        kind, content = key & 7, message[:0]
        if kind == _BYTES:
            size, at = _varint(message, at)
            content = message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"no such wire type: {kind}")
        if at > len(message):
            raise ValueError("a field ends behind its message")
        yield Field(key >> 3, message[began:at], content)


def members(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages and strings of one field of `message`."""
    return (found.content for found in fields(message) if found.number == wanted)


def number(found: Field) -> int:
    """The value of a field that is a number. `ValueError` where it is none."""
    key, at = _varint(found.raw, 0)
    if key & 7 != _VARINT:
        raise ValueError("the field is no number")
    return _varint(found.raw, at)[0]


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3 | _VARINT) + varint(value)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has no end")
