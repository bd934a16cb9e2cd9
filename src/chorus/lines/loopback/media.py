"""The audio of a loopback call over a websocket: `LoopbackMedia` and its line.

The simplest protocol that has all a line needs, G.711 µ-law at 8 kHz in both directions:

- the path has the call's id and token, so a wrong one is refused before the handshake;
- the far end starts with `{"event": "start", "legId": "…"}`;
- binary messages are audio, any length; those of the far end come at the pace of speech;
- the far end sends `{"event": "digit", "digit": "5"}`, `{"event": "stop"}`, and, if it wants its
  real position known, `{"event": "played", "clears": 0, "ms": 1234}`: how much it has played since
  the last clear, and how many of those it has had;
- Chorus sends `{"event": "clear"}`: throw away what was not played yet.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson
from starlette.types import Scope

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.lines.desk import Connection
from chorus.lines.dtmf import KEYS, tones
from chorus.lines.inbox import Inbox
from chorus.lines.line import LineCause, LineEnded, LineEvents
from chorus.lines.media_socket import NOT_UTF8, POLICY, HangUp, MediaStart, NotOurs
from chorus.lines.playhead import Playhead

PROVIDER = "loopback"
_CLEAR = '{"event":"clear"}'


class LoopbackMedia:
    """Implements `MediaProtocol`."""

    subprotocol = None

    def genuine(self, scope: Scope, connection: Connection) -> bool | None:
        return None  # the token tells

    def parse_start(self, message: str | bytes) -> MediaStart | None:
        body = _event(message)
        leg_id = body.get("legId")
        if body.get("event") != "start" or not isinstance(leg_id, str) or not leg_id:
            raise NotOurs(POLICY, "it did not begin with its start")
        return MediaStart(leg_id[:64], partial(LoopbackMediaLine, leg_id[:64]))


class LoopbackMediaLine:
    """Implements `MediaLine`."""

    provider = PROVIDER
    lossless = True
    lead_ms = 200
    takes_keys = True

    def __init__(self, leg_id: str, call_id: str, end_call: HangUp) -> None:
        self._loop = asyncio.get_running_loop()
        self._leg_id = leg_id
        self._end_call = end_call
        self._inbox = Inbox()
        self._head = Playhead()
        self._unsent = bytearray()
        self._clear_due = False
        self._next_ms = 0.0
        self._leaving = False
        self.wake = asyncio.Event()

    @property
    def format(self) -> AudioFormat:
        return MULAW_8K

    @property
    def leg_id(self) -> str:
        return self._leg_id

    def start(self, events: LineEvents) -> None:
        self._inbox.start(events)

    def play(self, audio: bytes) -> None:
        if not self.over:
            self._unsent += audio
            self._head.sent(MULAW_8K.ms(len(audio)), self._loop.time())
            self.wake.set()

    def clear(self) -> None:
        if not self.over:
            self._unsent.clear()
            self._head.clear(self._loop.time())
            self._clear_due = True
            self.wake.set()

    @property
    def ahead_ms(self) -> float:
        return self._head.ahead_ms(self._loop.time())

    @property
    def sent_ms(self) -> float:
        return self._head.sent_ms

    @property
    def heard_ms(self) -> float:
        return self._head.heard_ms(self._loop.time())

    def send_digits(self, digits: str) -> None:
        self.play(tones(digits, MULAW_8K))

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self.end(ended.cause, ended.detail)

    async def hang_up(self) -> None:
        if self.over or self._leaving:
            return
        self._leaving = True
        try:
            await self._end_call()
        finally:
            self.end(LineCause.LOCAL)

    @property
    def over(self) -> bool:
        return self._inbox.ended is not None

    def end(self, cause: LineCause, detail: str = "") -> None:
        self._inbox.end(LineEnded(LineCause.LOCAL) if self._leaving else LineEnded(cause, detail))
        self.wake.set()

    def closed(self, code: int) -> None:
        self.end(LineCause.DROPPED, f"the media stream closed without a stop ({code})")

    def take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._inbox.audio(message, self._next_ms)
            self._next_ms += MULAW_8K.ms(len(message))
            return
        try:
            body = _event(message)
            match body.get("event"):
                case "digit" if body["digit"] in KEYS:
                    self._inbox.digit(body["digit"])
                case "played":
                    clears, ms = int(body["clears"]), float(body["ms"])
                    self._head.acknowledged(clears, ms, self._loop.time())
                case "stop":
                    self.end(LineCause.FAR_END)
                case other:
                    raise NotOurs(POLICY, f"the event {str(other)[:40]!r} is unknown")
        except (NotOurs, KeyError, TypeError, ValueError) as problem:
            self.end(LineCause.FAILED, f"the far end sent a message that is none ({problem})")

    def next_message(self) -> str | bytes | None:
        if self._clear_due:
            self._clear_due = False
            return _CLEAR
        if not self._unsent:
            return None
        audio = bytes(self._unsent)
        self._unsent.clear()
        return audio


def _event(message: str | bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(message)
    except ValueError:
        raise NotOurs(NOT_UTF8, "it did not send an event in JSON") from None
    if not isinstance(body, dict):
        raise NotOurs(NOT_UTF8, "it did not send an event in JSON")
    return body  # pyright: ignore[reportUnknownVariableType]  JSON's
