"""The worker's end of its link: framed messages over a socket, blocking.

A message is a little-endian header, length (u32) and kind (u8), and the payload. The
parent's end is `workers.py`. This side has no event loop: a worker does one thing at a
time, and the end of the stream is its order to go.
"""

from __future__ import annotations

import select
import signal
import socket
import struct
import sys
from typing import NamedTuple

HEADER = struct.Struct("<IB")
# A longer message is a broken stream: ten minutes of 16 kHz audio are less.
MAX_PAYLOAD = 32 << 20


class Message(NamedTuple):
    kind: int
    payload: bytes


class Channel:
    """Over an inherited socket. `receive` waits; `poll` says whether it would not have to."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._buffer = bytearray()

    def receive(self) -> Message | None:
        """The next message; None when the parent has gone."""
        while True:
            if len(self._buffer) >= HEADER.size:
                size, kind = HEADER.unpack_from(self._buffer)
                if size > MAX_PAYLOAD:
                    raise ValueError(f"a message of {size} bytes")
                end = HEADER.size + size
                if len(self._buffer) >= end:
                    payload = bytes(self._buffer[HEADER.size : end])
                    del self._buffer[:end]
                    return Message(kind, payload)
            try:
                more = self._link.recv(1 << 16)
            except ConnectionError:
                return None
            if not more:
                return None
            self._buffer += more

    def poll(self) -> bool:
        """Whether anything has come (perhaps only the beginning of a message)."""
        return bool(self._buffer) or bool(select.select([self._link], [], [], 0)[0])

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Raises `ConnectionError` when the parent has gone."""
        self._link.sendall(HEADER.pack(len(payload), kind) + payload)


def open_channel() -> Channel:
    """In a worker's `main`: the link whose descriptor is the last argument.

    Signals that stop a service go to its whole process group; the parent drains its calls
    first and needs its workers for that, so they leave only when the link is closed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return Channel(socket.socket(fileno=int(sys.argv[-1])))
