"""How a WebSocket of VoxEngine introduces itself: a handshake whose path has the call's id and its
token, then `start` with the sound's format and the leg's id. For `lines/media_socket.py`.

https://voximplant.com/docs/guides/media-streams/format
"""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from starlette.types import Scope

from chorus.lines.desk import Connection
from chorus.lines.line import LineCause
from chorus.lines.media_socket import (
    NOT_UTF8,
    POLICY,
    UNSUPPORTED,
    HangUp,
    MediaStart,
    NotOurs,
)
from chorus.lines.voximplant.rest import MAX_LEG_CHARS
from chorus.lines.voximplant.stream import VoximplantLine

MEDIA_PATH = "/voximplant/media"


class VoximplantMedia:
    """Implements `MediaProtocol`."""

    subprotocol = None

    def genuine(self, scope: Scope, connection: Connection) -> bool | None:
        return None  # nothing is signed; the token tells

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        if not isinstance(message, str):
            raise NotOurs(UNSUPPORTED, "it sent a binary message")
        try:
            body: dict[str, Any] = orjson.loads(message)
            if body["event"] != "start":
                raise NotOurs(POLICY, f"it sent {str(body['event'])[:40]!r} before its start")
            start = body["start"]
            format, leg_id = start["mediaFormat"], start["customParameters"]["legId"]
            encoding, rate_hz = str(format["encoding"]), str(format["sampleRate"])
            version = str(start["customParameters"].get("version", "1"))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotOurs(NOT_UTF8, "it did not begin with a start in JSON") from None
        if not isinstance(leg_id, str) or not 0 < len(leg_id) <= MAX_LEG_CHARS:
            raise NotOurs(POLICY, "its legId is no short text")
        return MediaStart(leg_id, partial(_line, leg_id, encoding, rate_hz, version))


def _line(
    leg_id: str, encoding: str, rate_hz: str, version: str, call_id: str, hang_up: HangUp
) -> VoximplantLine:
    # A copy of the first version knows no keys: they are tones there.
    line = VoximplantLine(leg_id, hang_up, presses=version != "1")
    if (encoding, rate_hz) != ("ULAW", "8000"):
        detail = (
            "the scenario of this server sends ULAW at 8000 Hz; "
            f"this stream is {encoding[:40]} at {rate_hz[:10]} Hz"
        )
        line.end(LineCause.FAILED, detail)
    return line
