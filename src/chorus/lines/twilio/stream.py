"""A call on Twilio Media Streams: `TwilioLine`, a `JsonLine` with Twilio's messages.

What happens to a message, in order of frequency:

1. `media`: base64 µ-law, 20 ms, straight into `LineEvents.line_audio`;
2. `mark`: our own, echoed when the audio before it was played: moves `heard_ms`;
3. `dtmf`, `stop`, anything unknown (ignored: the protocol grows).

A transfer stops the stream, and one that comes to nothing starts another of the same call
(`returned`). What became of it Twilio's webhooks say (`routes.py`). Two calls are connected in a
conference of Twilio's: the person's goes first, and comes back if the caller's does not follow.

Message formats: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import asyncio
import logging
from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable
from secrets import token_urlsafe
from typing import Any, Protocol

import orjson

from chorus.audio.frame import MULAW_8K
from chorus.lines.absent import AbsentStreamedLine
from chorus.lines.json_line import JsonLine, field_of
from chorus.lines.line import Line, LineCause, LineEnded, LineMove, MoveRefused

log = logging.getLogger(__name__)

BACK_S = 10.0
"""Whoever is to come back from a conference does so at once, or is gone."""


class Moving(Protocol):
    """`Moves` of `lines/twilio/moves.py`."""

    async def dial(self, to: str, ring_timeout_s: int) -> None: ...
    async def confer(self, room: str) -> None: ...
    async def come_back(self) -> None: ...


class TwilioLine(AbsentStreamedLine, JsonLine):
    """Implements `AbsentLine` and `JoinableLine`."""

    provider = "twilio"

    def __init__(
        self,
        stream_sid: str,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        moves: Moving | None = None,
    ) -> None:
        super().__init__(leg_id, MULAW_8K, end_call, None if moves is None else moves.dial)
        self._moves = moves
        self._gone_there = False
        """The carrier has said that the call is over; the line ends a moment later."""
        self._ending: asyncio.Task[None] | None = None
        self._use(stream_sid)

    def _use(self, stream_sid: str) -> None:
        self._stream_sid = stream_sid
        sid = orjson.dumps(stream_sid).decode()
        self._media_head = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._clear_text = f'{{"event":"clear","streamSid":{sid}}}'
        self._mark_head = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":"'

    async def connect_with(self, other: Line) -> None:
        """In a conference. Nobody is left alone there: the person comes back to Chorus if the
        caller was not sent after them, and where nobody knows, both calls are ended."""
        if not isinstance(other, TwilioLine) or self._moves is None or other._moves is None:
            raise MoveRefused("the other call is not at Twilio")
        self._movable()
        other._movable()
        room = f"chorus-{token_urlsafe(24)}"
        try:
            await other._asked(other._moves.confer(room))
        except BaseException:
            if other.over:
                # They hung up in that moment, or wait where nobody will come.
                other._end_at_carrier()
            raise
        other._ended_meanwhile = None
        other._absent = True
        try:
            await self._asked(self._moves.confer(room))
        except BaseException as failure:
            if self.over:
                self._end_at_carrier()
            elif isinstance(failure, MoveRefused):
                await other._come_back()
            raise
        if self.over:
            return  # hung up here meanwhile, as the other is
        self._gone_to_conference()
        if other.over or other._gone_there:
            self._end_at_carrier()  # they hung up in that moment
        else:
            other._gone_to_conference()

    def _gone_to_conference(self) -> None:
        self._absent = False
        self._inbox.moved(LineMove.TRANSFERRED)
        self.end(LineCause.TRANSFERRED)

    async def _come_back(self) -> None:
        """From a conference to which nobody came."""
        assert self._moves is not None
        try:
            await self._moves.come_back()
        except MoveRefused as refused:
            log.info("call %s did not come back: %s", self._leg_id, refused)
            self._not_back()
        else:
            self._loop.call_later(BACK_S, self._not_back)

    def _not_back(self) -> None:
        if self._absent and not self.over:
            self._absent, self._move = False, None
            self._end_at_carrier()
            self.end(LineCause.FAR_END)

    def _end_at_carrier(self) -> None:
        """Beside the line's own end: the leg may go on there."""
        if self._end_call is not None:
            self._ending = self._loop.create_task(self._ended_at_twilio(self._end_call))

    async def _ended_at_twilio(self, end_call: Callable[[], Awaitable[None]]) -> None:
        try:
            await end_call()
        except Exception as failure:
            log.error("call %s may still be open at Twilio: %s", self._leg_id, failure)

    def returned_on(self, stream_sid: str) -> bool:
        """As `returned`; the new stream is this one."""
        if not self.returned():
            return False
        self._use(stream_sid)
        return True

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self._gone_there = True
        super().ended_at_carrier(ended)

    def _audio_message(self, piece: bytes) -> str:
        return f'{self._media_head}{b2a_base64(piece, newline=False).decode("ascii")}"}}}}'

    def _clear_message(self) -> str:
        return self._clear_text

    def _mark_message(self, name: str) -> str:
        return f'{self._mark_head}{name}"}}}}'

    def _audio(self, message: dict[str, Any]) -> tuple[bytes, float] | None:
        if message["streamSid"] != self._stream_sid:
            self._protocol_error("audio of another stream")
            return None
        media: dict[str, Any] = message["media"]
        if media.get("track", "inbound") != "inbound":
            return None
        chunk = a2b_base64(media["payload"], strict_mode=True)
        stamp: str | None = media.get("timestamp")
        return self._timed(chunk, None if stamp is None else float(stamp))

    def _rarer(self, event: object, message: dict[str, Any]) -> None:
        if event in ("mark", "dtmf", "stop") and message.get("streamSid") != self._stream_sid:
            self._protocol_error(f"a {event} of another stream")
        elif event == "mark":
            self._acknowledged(field_of(message, "mark", "name"))
        elif event == "dtmf":
            self._digit_came(field_of(message, "dtmf", "digit"))
        elif event == "stop":
            self.end(LineCause.FAR_END)
        elif event == "start":
            self._protocol_error("a second start")
