"""Sockets for RTP and RTCP: an even port and the one above it, out of a range (RFC 3550 §11)."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable

from chorus.lines.sip.media.latch import Place
from chorus.lines.sip.transport import plain_ip

TRIES = 64
Received = Callable[[bytes, Place], None]


class NoPort(OSError):
    """The range is used up."""


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.on_packet: Received | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.on_packet is not None:
            self.on_packet(data, (plain_ip(addr[0]), addr[1]))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there yet, or any more: the stream's silence tells."""


class MediaPorts:
    """The ports of a process. `low` and `high` are the range, both included."""

    def __init__(self, low: int, high: int) -> None:
        self._pairs = range(low + (low & 1), high, 2)
        if not self._pairs:
            raise ValueError(f"no pair of ports in {low} to {high}")

    async def open(self, host: str) -> MediaSocket:
        """A pair on `host`. Raises `NoPort`."""
        pairs = self._pairs
        begin = random.randrange(len(pairs))  # noqa: S311 - spreads, hides nothing
        failure: OSError | None = None
        for number in range(min(TRIES, len(pairs))):
            port = pairs[(begin + number * 7) % len(pairs)]
            try:
                return await _pair(host, port)
            except OSError as error:
                failure = error
        raise NoPort(f"no free RTP port: {failure}")


class MediaSocket:
    """`listen` says who gets the packets; `close` when the call is over."""

    def __init__(
        self,
        port: int,
        sound: tuple[asyncio.DatagramTransport, _Receiver],
        reports: tuple[asyncio.DatagramTransport, _Receiver],
    ) -> None:
        self.port = port
        self._sound, self._on_sound = sound
        self._reports, self._on_reports = reports

    def listen(self, sound: Received, reports: Received) -> None:
        self._on_sound.on_packet = sound
        self._on_reports.on_packet = reports

    def send(self, data: bytes, place: Place) -> None:
        if not self._sound.is_closing():
            self._sound.sendto(data, place)

    def send_report(self, data: bytes, place: Place) -> None:
        if not self._reports.is_closing():
            self._reports.sendto(data, place)

    def close(self) -> None:
        self._on_sound.on_packet = self._on_reports.on_packet = None
        self._sound.close()
        self._reports.close()


async def _pair(host: str, port: int) -> MediaSocket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first = _bound(family, host, port)
    try:
        second = _bound(family, host, port + 1)
    except OSError:
        first.close()
        raise
    loop = asyncio.get_running_loop()
    sound = await loop.create_datagram_endpoint(_Receiver, sock=first)
    reports = await loop.create_datagram_endpoint(_Receiver, sock=second)
    return MediaSocket(
        port,
        sound,
        reports,
    )


def _bound(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
