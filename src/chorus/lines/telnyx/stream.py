"""A call on Telnyx' media streaming: `TelnyxLine`, a `JsonLine` with Telnyx' messages.

What happens to a message, in order of frequency:

1. `media`: base64 µ-law, 20 ms, straight into `LineEvents.line_audio`. Their order is not
   promised: one that comes after a later one is dropped, and its place is a hole;
2. `mark`: our own, echoed when the audio before it was played, or cleared: moves `heard_ms`;
3. `dtmf`, `stop`, `error`, anything unknown (ignored: the protocol grows).

The end of the socket does not end the call, as it does at other carriers: a line that ends
otherwise than by Telnyx' word hangs up.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from __future__ import annotations

import asyncio
import logging
from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from chorus.audio.frame import MULAW_8K
from chorus.lines.dtmf import check_digits
from chorus.lines.json_line import JsonLine, field_of
from chorus.lines.line import LineCause
from chorus.lines.sip.causes import printable

log = logging.getLogger(__name__)

MIN_MS = 20
"""Of audio in a message; shorter pieces are filled up with silence."""
_CLEAR = '{"event":"clear"}'
_GOES_ON_AFTER = frozenset({LineCause.LOCAL, LineCause.DROPPED, LineCause.FAILED})


class TelnyxLine(JsonLine):
    """`press` has the carrier press keys, or raises `CarrierFailed`; without it they are tones."""

    provider = "telnyx"
    lossless = False  # what Telnyx is sent by RTP, in the order that it comes

    def __init__(
        self,
        stream_id: str,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        redirect: Callable[[str], Awaitable[None]] | None = None,
        press: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(leg_id, MULAW_8K, end_call, redirect)
        self._stream_id = stream_id
        self._press = press
        self._chunk = -1
        self._least_bytes = self._format.size(MIN_MS)
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self, cause: LineCause, detail: str = "") -> None:
        was_over = self.over
        super().end(cause, detail)
        ended = self.ended
        if was_over or ended is None or self._leaving or ended.cause not in _GOES_ON_AFTER:
            return
        if self._end_call is not None:
            self._do("hang up", self._end_call())

    def send_digits(self, digits: str) -> None:
        """By Telnyx, when what was said before has been heard. `w` and `W` are pauses of 0.5 and
        1 s. Raises `ValueError` for what is no key."""
        check_digits(digits)
        if self._press is None:
            super().send_digits(digits)
        elif digits and not self.over:
            self._do("press keys", self._pressed(digits, self.ahead_ms))

    async def _pressed(self, digits: str, after_ms: float) -> None:
        assert self._press is not None
        await asyncio.sleep(after_ms / 1000)
        if not self.over:
            await self._press(digits)

    def _do(self, what: str, work: Awaitable[None]) -> None:
        async def done() -> None:
            try:
                await work
            except Exception as failure:
                log.warning("call %s: Telnyx did not %s: %s", self._leg_id, what, failure)

        coroutine: Coroutine[Any, Any, None] = done()
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _audio_message(self, piece: bytes) -> str:
        piece = piece.ljust(self._least_bytes, b"\xff")
        payload = b2a_base64(piece, newline=False).decode("ascii")
        return f'{{"event":"media","media":{{"payload":"{payload}"}}}}'

    def _clear_message(self) -> str:
        return _CLEAR

    def _mark_message(self, name: str) -> str:
        return f'{{"event":"mark","mark":{{"name":"{name}"}}}}'

    def _audio(self, message: dict[str, Any]) -> tuple[bytes, float] | None:
        if message["stream_id"] != self._stream_id:
            self._protocol_error("audio of another stream")
            return None
        media: dict[str, Any] = message["media"]
        if media.get("track", "inbound") not in ("inbound", "inbound_track"):
            return None
        number = int(media["chunk"])
        if number <= self._chunk:
            return None
        chunk = a2b_base64(media["payload"], strict_mode=True)
        stamp: str | None = media.get("timestamp")
        timed = self._timed(chunk, None if stamp is None else float(stamp))
        if timed is not None:
            # One from the future is not heard, and must not silence those that come in time.
            self._chunk = number
        return timed

    def _rarer(self, event: object, message: dict[str, Any]) -> None:
        if event in ("mark", "dtmf", "stop") and message.get("stream_id") != self._stream_id:
            self._protocol_error(f"a {event} of another stream")
        elif event == "mark":
            self._acknowledged(field_of(message, "mark", "name"))
        elif event == "dtmf":
            self._digit_came(field_of(message, "dtmf", "digit"))
        elif event == "stop":
            self.end(LineCause.FAR_END)
        elif event == "error":
            said = field_of(message, "payload", "detail") or field_of(message, "payload", "title")
            self._protocol_error(f"an error: {printable(said)[:100]}")
        elif event == "start":
            self._protocol_error("a second start")
