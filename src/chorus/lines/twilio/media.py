"""How a Twilio media stream introduces itself: a handshake whose path has the call's id and its
token, signed as Twilio's webhooks are; then `connected` and `start`. For `lines/media_socket.py`.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
https://www.twilio.com/docs/usage/security#validating-signatures-from-twilio (of websockets)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import orjson
from starlette.datastructures import Headers
from starlette.types import Scope
from twilio.request_validator import RequestValidator

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
    Shown,
)
from chorus.lines.twilio.account import TwilioAccount
from chorus.lines.twilio.links import Links
from chorus.lines.twilio.moves import Moves
from chorus.lines.twilio.stream import TwilioLine
from chorus.lines.twilio.webhook import signature_of

MovesOf = Callable[[str, str], Moves]
"""What Twilio can have the call with this id and SID do."""


class TwilioMedia:
    """Implements `MediaProtocol`."""

    subprotocol = None

    def __init__(self, moves: MovesOf, links: Links, api_url: str) -> None:
        self._moves = moves
        self._links = links
        self._api_url = api_url

    def genuine(self, scope: Scope, connection: Connection) -> bool | None:
        """A handshake without a signature is let pass: relatives of Twilio send none, and its token
        cannot be guessed."""
        signature = signature_of(Headers(scope=scope))
        if signature is None:
            return None
        shown = Shown.of(scope)
        url = self._links.media_url(shown.call_id, shown.token)
        validator: Any = RequestValidator(TwilioAccount.of(connection, self._api_url).signs_with)
        # Documented with and without a slash at the end.
        return any(validator.validate(end, {}, signature) is True for end in (url, f"{url}/"))

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        if not isinstance(message, str):
            raise NotOurs(UNSUPPORTED, "it sent a binary message")
        try:
            body: dict[str, Any] = orjson.loads(message)
            event = body["event"]
        except (ValueError, TypeError, KeyError):
            raise NotOurs(NOT_UTF8, "it did not send an event in JSON") from None
        if event == "start":
            return _parse(body, self._moves)
        if event != "connected":
            raise NotOurs(POLICY, f"it sent {str(event)[:40]!r} before its start")
        return None


def _parse(body: dict[str, Any], moves: MovesOf) -> MediaStart:
    try:
        start = body["start"]
        format = start["mediaFormat"]
        stream_sid, call_sid = start["streamSid"], start["callSid"]
        encoding, rate_hz = str(format["encoding"]), str(format["sampleRate"])
    except (KeyError, TypeError, AttributeError) as error:
        raise NotOurs(POLICY, f"its start is incomplete: {error!r}"[:200]) from None
    for text in (stream_sid, call_sid):
        if not isinstance(cast("object", text), str) or not 0 < len(text) <= MAX_FIELD_CHARS:
            raise NotOurs(POLICY, "its start holds a value that is no short text")
    line = partial(_line, stream_sid, call_sid, encoding, rate_hz, moves)
    return MediaStart(call_sid, line, partial(_again, stream_sid, call_sid))


def _again(stream_sid: str, call_sid: str, line: MediaLine) -> bool:
    return isinstance(line, TwilioLine) and line.leg_id == call_sid and line.returned_on(stream_sid)


def _line(
    stream_sid: str,
    call_sid: str,
    encoding: str,
    rate_hz: str,
    moves: MovesOf,
    call_id: str,
    hang_up: HangUp,
) -> TwilioLine:
    line = TwilioLine(stream_sid, call_sid, hang_up, moves(call_id, call_sid))
    if (encoding, rate_hz) != ("audio/x-mulaw", "8000"):
        detail = (
            "Twilio streams audio/x-mulaw at 8000 Hz; "
            f"this stream is {encoding[:40]} at {rate_hz[:10]} Hz"
        )
        line.end(LineCause.FAILED, detail)
    return line
