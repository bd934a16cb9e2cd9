"""A call on Twilio Media Streams: `TwilioLine`, a `JsonLine` with Twilio's messages.

What happens to a message, in order of frequency:

1. `media`: base64 µ-law, 20 ms, straight into `LineEvents.line_audio`;
2. `mark`: our own, echoed when the audio before it was played: moves `heard_ms`;
3. `dtmf`, `stop`, anything unknown (ignored: the protocol grows).

A transfer stops the stream, and one that comes to nothing starts another of the same call
(`returned`). What became of it Twilio's webhooks say (`routes.py`). Two calls are connected in a
conference of Twilio's (`lines/conference.py`).

Message formats: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from chorus.audio.frame import MULAW_8K
from chorus.lines.conference import ConferenceLine, Moving
from chorus.lines.json_line import JsonLine, field_of
from chorus.lines.line import LineCause


class TwilioLine(ConferenceLine, JsonLine):
    """Implements `AbsentLine` and `JoinableLine`."""

    provider = "twilio"

    def __init__(
        self,
        stream_sid: str,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        moves: Moving | None = None,
    ) -> None:
        super().__init__(leg_id, MULAW_8K, end_call, moves)
        self._use(stream_sid)

    def _use(self, stream_sid: str) -> None:
        self._stream_sid = stream_sid
        sid = orjson.dumps(stream_sid).decode()
        self._media_head = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._clear_text = f'{{"event":"clear","streamSid":{sid}}}'
        self._mark_head = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":"'

    def returned_on(self, stream_sid: str) -> bool:
        """As `returned`; the new stream is this one."""
        if not self.returned():
            return False
        self._use(stream_sid)
        return True

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
