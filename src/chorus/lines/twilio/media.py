"""How a Twilio media stream introduces itself: `connected`, then `start`, which has the call's id
and its token among the parameters of `<Stream>`. For `lines/media_socket.py`.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import orjson
from starlette.types import Scope

from chorus.lines.line import LineCause
from chorus.lines.media_socket import (
    MAX_FIELD_CHARS,
    NOT_UTF8,
    POLICY,
    UNSUPPORTED,
    HangUp,
    MediaStart,
    NotOurs,
    Shown,
)
from chorus.lines.twilio.stream import TwilioLine

Redirect = Callable[[str, str, str], Awaitable[None]]
"""Of the call with this id and SID, to this TwiML. Raises `MoveRefused`."""


class TwilioMedia:
    """Implements `MediaProtocol`."""

    def __init__(self, redirect: Redirect) -> None:
        self._redirect = redirect

    def shown(self, scope: Scope) -> Shown | None:
        return None  # a <Stream> carries it in its parameters

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        if not isinstance(message, str):
            raise NotOurs(UNSUPPORTED, "it sent a binary message")
        try:
            body: dict[str, Any] = orjson.loads(message)
            event = body["event"]
        except (ValueError, TypeError, KeyError):
            raise NotOurs(NOT_UTF8, "it did not send an event in JSON") from None
        if event == "start":
            return _parse(body, self._redirect)
        if event != "connected":
            raise NotOurs(POLICY, f"it sent {str(event)[:40]!r} before its start")
        return None


def _parse(body: dict[str, Any], redirect: Redirect) -> MediaStart:
    try:
        start = body["start"]
        custom, format = start["customParameters"], start["mediaFormat"]
        call_id, token = custom["callId"], custom["token"]
        stream_sid, call_sid = start["streamSid"], start["callSid"]
        encoding, rate_hz = str(format["encoding"]), str(format["sampleRate"])
    except (KeyError, TypeError, AttributeError) as error:
        raise NotOurs(POLICY, f"its start is incomplete: {error!r}"[:200]) from None
    for text in (stream_sid, call_sid, call_id, token):
        if not isinstance(cast("object", text), str) or not 0 < len(text) <= MAX_FIELD_CHARS:
            raise NotOurs(POLICY, "its start holds a value that is no short text")
    transfer = partial(redirect, call_id, call_sid)
    line = partial(_line, stream_sid, call_sid, encoding, rate_hz, transfer)
    return MediaStart(call_sid, Shown(call_id, token), line)


def _line(
    stream_sid: str,
    call_sid: str,
    encoding: str,
    rate_hz: str,
    redirect: Callable[[str], Awaitable[None]],
    hang_up: HangUp,
) -> TwilioLine:
    line = TwilioLine(stream_sid, call_sid, hang_up, redirect)
    if (encoding, rate_hz) != ("audio/x-mulaw", "8000"):
        detail = (
            "Twilio streams audio/x-mulaw at 8000 Hz; "
            f"this stream is {encoding[:40]} at {rate_hz[:10]} Hz"
        )
        line.end(LineCause.FAILED, detail)
    return line
