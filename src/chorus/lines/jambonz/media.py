"""How a jambonz audio stream introduces itself: a handshake whose path has the call's id and its
token, then one JSON message with the call's data and the sample rate. For `lines/media_socket.py`.

https://docs.jambonz.org/verbs/verbs/listen
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from starlette.types import Scope

from chorus.audio.frame import RATES_HZ
from chorus.lines.desk import Connection
from chorus.lines.jambonz.moves import Moves
from chorus.lines.jambonz.stream import JambonzLine
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

MovesOf = Callable[[str, str], Moves]
"""What jambonz can have the call with this id and SID do."""


class JambonzMedia:
    """Implements `MediaProtocol`."""

    subprotocol = "audio.jambonz.org"

    def __init__(self, moves: MovesOf) -> None:
        self._moves = moves

    def genuine(self, scope: Scope, connection: Connection) -> bool | None:
        return None  # nothing is signed; the token tells

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        if not isinstance(message, str):
            raise NotOurs(UNSUPPORTED, "it sent audio before the call's data")
        try:
            body: dict[str, Any] = orjson.loads(message)
            leg_id, rate_hz, mix = body["callSid"], body["sampleRate"], body.get("mixType", "mono")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotOurs(NOT_UTF8, "it did not begin with the call's data in JSON") from None
        if not isinstance(leg_id, str) or not 0 < len(leg_id) <= MAX_FIELD_CHARS:
            raise NotOurs(POLICY, "its callSid is no short text")
        line = partial(_line, leg_id, rate_hz, mix, self._moves)
        return MediaStart(leg_id, line, partial(_again, leg_id, rate_hz, mix))


def _again(leg_id: str, rate_hz: object, mix: object, line: MediaLine) -> bool:
    """A stream of another rate than the one before could not go on with it."""
    if not isinstance(line, JambonzLine) or line.leg_id != leg_id or mix != "mono":
        return False
    return line.format.rate_hz == rate_hz and line.returned()


def _line(
    leg_id: str,
    rate_hz: object,
    mix: object,
    moves_of: MovesOf,
    call_id: str,
    hang_up: HangUp,
) -> JambonzLine:
    usable = isinstance(rate_hz, int) and rate_hz in RATES_HZ and mix == "mono"
    rate = rate_hz if usable and isinstance(rate_hz, int) else RATES_HZ[0]
    moves = moves_of(call_id, leg_id)
    line = JambonzLine(leg_id, rate, hang_up, moves, moves.press)
    if not usable:
        detail = (
            "Chorus takes a mono stream at one of its sample rates; "
            f"this one is {str(mix)[:20]} at {str(rate_hz)[:10]} Hz"
        )
        line.end(LineCause.FAILED, detail)
    return line
