"""The server's websocket protocol, with a direct way in for audio.

uvicorn hands every message to the application through a queue and a task, pausing and resuming
the socket around each, and the websockets library parses every frame by a chain of generators.
At fifty messages a second and call that is most of what a call costs. So an application can ask
(`direct`) that a connection's messages are handed to a plain function as they come in:

1. bytes are cut into whole frames, so that the library is always at the beginning of one;
2. a message in one frame, as all of a carrier's are, goes straight to the function;
3. pings and pongs go to the library;
4. anything else (the close, a fragment, a frame of 64 KiB, what is malformed) goes there too,
   and so does all that follows it.

Messages stay in order: as long as one waits in the application's queue, all take that way.
Frames: RFC 6455 §5.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

try:
    from websockets.speedups import apply_mask
except ImportError:  # an installation without the compiled part
    from websockets.utils import apply_mask

_EXTENSION = "chorus.direct"

# The first byte of a frame that is a whole message: FIN, no reserved bit, the opcode.
_TEXT, _BINARY, _PING, _PONG = 0x81, 0x82, 0x89, 0x8A
_CUT = frozenset((_TEXT, _BINARY, _PING, _PONG))
_MESSAGES = frozenset((_TEXT, _BINARY))
_MASKED = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127


def direct(scope: Scope, take: Callable[[str | bytes], None]) -> None:
    """From now on `take` gets the messages of this connection, and `receive` its end. `take` must
    neither block nor raise. `receive` may get messages too, all of them under another server:
    whoever reads gives them to `take`."""
    ask = scope.get("extensions", {}).get(_EXTENSION)
    if ask is not None:
        ask(take)


class DirectProtocol(WebSocketsSansIOProtocol):
    """To be given to uvicorn as `ws`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take: Callable[[str | bytes], None] | None = None
        self._partial = b""  # the beginning of a frame
        self._uncut = False

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # accepted so far; the application runs from the next pass on
            extensions: dict[str, Any] = self.scope["extensions"]  # pyright: ignore
            extensions[_EXTENSION] = self._direct

    def _direct(self, take: Callable[[str | bytes], None]) -> None:
        self._take = take

    def data_received(self, data: bytes) -> None:
        if self._uncut or not self.handshake_initiated:
            super().data_received(data)
            return
        if self._partial:
            data = self._partial + data
            self._partial = b""
        at, end = 0, len(data)
        while end - at >= 2:
            first, length = data[at], data[at + 1] & 0x7F
            if first not in _CUT or not data[at + 1] & _MASKED or length == _LENGTH_64:
                self._uncut = True
                super().data_received(data[at:])
                return
            begin = at + 6  # two bytes and the mask
            if length == _LENGTH_16:
                if end - at < 4:
                    break
                length = data[at + 2] << 8 | data[at + 3]
                begin += 2
            if begin + length > end:
                break
            frame, at = at, begin + length
            if first not in _MESSAGES or not self._hand_over(
                first, data[begin:at], data[begin - 4 : begin]
            ):
                super().data_received(data[frame:at])
        if at < end:
            self._partial = data[at:]

    def _hand_over(self, first: int, masked: bytes, mask: bytes) -> bool:
        """Whether the message could go straight to who asked for it."""
        if self._take is None or self.read_paused or self.conn.state is not State.OPEN:
            return False
        message = apply_mask(masked, mask)
        if first == _BINARY:
            self._take(message)
            return True
        try:
            text = message.decode()
        except UnicodeDecodeError:
            return False  # the library knows how to refuse it
        self._take(text)
        return True
