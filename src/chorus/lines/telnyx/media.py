"""How a Telnyx media stream introduces itself: a handshake whose path has the call's id and its
token, then `connected` and `start`. For `lines/media_socket.py`.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from starlette.types import Scope

from chorus.lines.desk import Connection
from chorus.lines.line import LineCause
from chorus.lines.media_socket import (
    MAX_FIELD_CHARS,
    NOT_UTF8,
    POLICY,
    UNSUPPORTED,
    HangUp,
    MediaLine,
    MediaStart,
    NotOurs,
)
from chorus.lines.telnyx.stream import TelnyxLine

Redirect = Callable[[str, str, str, int], Awaitable[None]]
"""For the call with this id and this leg: whom to connect it with, and how many seconds they may
ring. Raises `MoveRefused`."""
Press = Callable[[str, str, str], Awaitable[None]]
"""For the call with this id and this leg: what keys to press. Raises `CarrierFailed`."""
Stop = Callable[[str, str, str], Awaitable[None]]
"""For the call with this id and this leg: which stream to end. Raises `CarrierFailed`."""


class TelnyxMedia:
    """Implements `MediaProtocol`."""

    subprotocol = None

    def __init__(self, redirect: Redirect, press: Press, stop: Stop) -> None:
        self._redirect = redirect
        self._press = press
        self._stop = stop

    def genuine(self, scope: Scope, connection: Connection) -> bool | None:
        return None  # nothing is signed; the token tells

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        if not isinstance(message, str):
            raise NotOurs(UNSUPPORTED, "it sent a binary message")
        try:
            body: dict[str, Any] = orjson.loads(message)
            event = body["event"]
            if event == "connected":
                return None
            if event != "start":
                raise NotOurs(POLICY, f"it sent {str(event)[:40]!r} before its start")
            stream_id, start = body["stream_id"], body["start"]
            leg_id, format = start["call_control_id"], start["media_format"]
            kind = f"{format['encoding']} at {format['sample_rate']} Hz"
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotOurs(NOT_UTF8, "it did not begin with a start in JSON") from None
        for text in (stream_id, leg_id):
            if not isinstance(text, str) or not 0 < len(text) <= MAX_FIELD_CHARS:
                raise NotOurs(POLICY, "an id of its start is no short text")
        line = partial(self._line, stream_id, leg_id, kind)
        return MediaStart(leg_id, line, partial(_again, stream_id, leg_id, kind))

    def _line(
        self, stream_id: str, leg_id: str, kind: str, call_id: str, hang_up: HangUp
    ) -> TelnyxLine:
        line = TelnyxLine(
            stream_id,
            leg_id,
            hang_up,
            partial(self._redirect, call_id, leg_id),
            partial(self._press, call_id, leg_id),
            partial(self._stop, call_id, leg_id),
        )
        if not _usable(kind):
            detail = f"Chorus asks Telnyx for PCMU at 8000 Hz; this stream is {kind[:60]}"
            line.end(LineCause.FAILED, detail)
        return line


def _usable(kind: str) -> bool:
    return kind.upper() == "PCMU AT 8000 HZ"


def _again(stream_id: str, leg_id: str, kind: str, line: MediaLine) -> bool:
    if not isinstance(line, TelnyxLine) or line.leg_id != leg_id or not _usable(kind):
        return False
    return line.returned_on(stream_id)
