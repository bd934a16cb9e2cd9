"""A call on Twilio Media Streams: `TwilioLine`, a `StreamedLine` with Twilio's messages.

What happens to a message, in order of frequency:

1. `media`: base64 µ-law, 20 ms, straight into `LineEvents.line_audio`;
2. `mark`: our own, echoed when the audio before it was played: moves `heard_ms`;
3. `dtmf`, `stop`, anything unknown (ignored: the protocol grows).

Message formats: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson

from chorus.audio.frame import MULAW_8K
from chorus.lines.line import LineCause
from chorus.lines.streamed import MAX_MESSAGE_CHARS, StreamedLine
from chorus.lines.twilio import twiml


class TwilioLine(StreamedLine):
    """`redirect` has the carrier do other TwiML with the call, or raises `MoveRefused`."""

    provider = "twilio"

    def __init__(
        self,
        stream_sid: str,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        redirect: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        async def dial(to: str) -> None:
            assert redirect is not None
            await redirect(twiml.dial(to))

        super().__init__(leg_id, MULAW_8K, end_call, dial if redirect else None)
        self._stream_sid = stream_sid
        sid = orjson.dumps(stream_sid).decode()
        self._media_head = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._clear_text = f'{{"event":"clear","streamSid":{sid}}}'
        self._mark_head = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":"'

    def take(self, message: str | bytes) -> None:
        """One message of the carrier. Never raises for what is in it."""
        if not isinstance(message, str):
            self._protocol_error("a binary message")
            return
        if len(message) > MAX_MESSAGE_CHARS:
            self._protocol_error("a message of more than 64 KiB")
            return
        try:
            body: dict[str, Any] = orjson.loads(message)
            event = body["event"]
            audio = self._audio(body) if event == "media" else None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # orjson and binascii raise kinds of ValueError.
            self._protocol_error(f"a malformed message ({type(error).__name__})")
            return
        # Outside the `try`: what a listener raises is no fault of the carrier's.
        if audio is not None:
            self._inbox.audio(*audio)
        elif event != "media":
            self._rarer(event, body)

    def _audio_message(self, piece: bytes) -> str:
        return f'{self._media_head}{b2a_base64(piece, newline=False).decode("ascii")}"}}}}'

    def _clear_message(self) -> str:
        return self._clear_text

    def _mark_message(self, name: str) -> str:
        return f'{self._mark_head}{name}"}}}}'

    def _audio(self, message: dict[str, Any]) -> tuple[bytes, float] | None:
        """The audio of a `media` message and its time; None if it is not for us. Raises any of
        the errors of indexing and conversion for what is malformed."""
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
            self._acknowledged(_field(message, "mark", "name"))
        elif event == "dtmf":
            self._digit_came(_field(message, "dtmf", "digit"))
        elif event == "stop":
            self.end(LineCause.FAR_END)
        elif event == "start":
            self._protocol_error("a second start")


def _field(message: dict[str, Any], outer: str, inner: str) -> str:
    """`message[outer][inner]` if it is a string there, else an empty one."""
    body = message.get(outer)
    value = cast("dict[str, Any]", body).get(inner) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""
