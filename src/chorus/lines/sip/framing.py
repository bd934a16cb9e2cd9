"""Messages out of a byte stream: SIP over TCP and TLS (RFC 3261 §18.3).

Over a stream Content-Length is what ends a message. Empty lines between messages are keepalives
(RFC 5626 §3.5.1): a double one asks for a single one in answer.
"""

from __future__ import annotations

from chorus.lines.sip.grammar import Malformed, number
from chorus.lines.sip.message import MAX_MESSAGE_BYTES

PING = b"\r\n\r\n"
PONG = b"\r\n"


class Frames:
    """`feed` bytes as they come; it returns the messages that became whole. `pings` counts the
    keepalives that wait for an answer."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # up to here there is no end of the headers
        self.pings = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Raises `Malformed` for what can never become a message: the connection is of no more
        use, since nobody knows where the next one begins."""
        self._buffer += data
        whole: list[bytes] = []
        while (message := self._next()) is not None:
            whole.append(message)
        return whole

    def _next(self) -> bytes | None:
        buffer = self._buffer
        while buffer.startswith(PONG):
            if buffer.startswith(PING):
                self.pings += 1
                del buffer[:4]
            elif PING.startswith(buffer):
                return None  # half a ping, or an answer to ours: the next bytes tell
            else:
                del buffer[:2]
            self._seen = 0
        end = buffer.find(PING, max(self._seen - 3, 0))
        if end < 0:
            self._seen = len(buffer)
            if len(buffer) > MAX_MESSAGE_BYTES:
                raise Malformed("headers of more than 64 KiB", 513)
            return None
        size = end + 4 + _content_length(bytes(buffer[:end]))
        if size > MAX_MESSAGE_BYTES:
            raise Malformed("a message of more than 64 KiB", 513)
        if len(buffer) < size:
            self._seen = end
            return None
        message = bytes(buffer[:size])
        del buffer[:size]
        self._seen = 0
        return message


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-length", b"l"):
            return number(value.decode("ascii", "replace"), MAX_MESSAGE_BYTES, "Content-Length")
    return 0
