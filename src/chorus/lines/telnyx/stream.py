"""A call on Telnyx' media streaming: `TelnyxLine`, a `JsonLine` with Telnyx' messages.

What happens to a message, in order of frequency:

1. `media`: base64 µ-law, 20 ms, straight into `LineEvents.line_audio`. Their order is not
   promised: one that comes after a later one is dropped, and its place is a hole;
2. `mark`: our own, echoed when the audio before it was played, or cleared: moves `heard_ms`;
3. `dtmf`, `stop`, `error`, anything unknown (ignored: the protocol grows).

The end of the socket does not end the call, as it does at other carriers: a line that ends
otherwise than by Telnyx' word hangs up, again and again if Telnyx does not (`HANG_UP_AFTER_S`).

A transfer leaves the stream running, so the line has it stopped. What became of the transfer the
webhooks say (`routes.py`): if nobody was reached the line goes on with another stream.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from __future__ import annotations

import asyncio
import logging
from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any

from chorus.audio.frame import MULAW_8K
from chorus.lines.absent import AbsentStreamedLine
from chorus.lines.carrier import CarrierFailed
from chorus.lines.json_line import JsonLine, field_of
from chorus.lines.key_presses import KeyPresses
from chorus.lines.line import RING_TIMEOUT_S, LineCause, LineEnded
from chorus.lines.sip.causes import printable

log = logging.getLogger(__name__)

MIN_MS = 20
"""Of audio in a message; shorter pieces are filled up with silence."""
_CLEAR = '{"event":"clear"}'
_GOES_ON_AFTER = frozenset({LineCause.LOCAL, LineCause.DROPPED, LineCause.FAILED})
HANG_UP_AFTER_S = (0.0, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0)
"""The waits before each time that Telnyx is told to hang up a call whose line is over. The call
costs until it obeys; after these it is up to the call's own limit at Telnyx."""


class TelnyxLine(AbsentStreamedLine, JsonLine):
    """Implements `AbsentLine`. `press` has the carrier press keys; without it they are tones.
    `stop` ends the stream of an id, and leaves the call. Both raise `CarrierFailed`."""

    provider = "telnyx"
    lossless = False  # what Telnyx is sent by RTP, in the order that it comes

    def __init__(
        self,
        stream_id: str,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        redirect: Callable[[str, int], Awaitable[None]] | None = None,
        press: Callable[[str], Awaitable[None]] | None = None,
        stop: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(leg_id, MULAW_8K, self._tell_to_hang_up if end_call else None, redirect)
        self._stream_id = stream_id
        self._at_telnyx = end_call
        self._stop = stop
        self._presses = KeyPresses(self, press, whole=True) if press is not None else None
        self._chunk = -1
        self._least_bytes = self._format.size(MIN_MS)
        self._gone = False
        self._hanging_up: asyncio.Task[None] | None = None

    def end(self, cause: LineCause, detail: str = "") -> None:
        was_over = self.over
        if cause is LineCause.FAR_END and (self._leaving or not self._absent):
            self._gone = True
        super().end(cause, detail)
        ended = self.ended
        if was_over or ended is None or self._gone or ended.cause not in _GOES_ON_AFTER:
            return
        if self._at_telnyx is not None:
            # Whoever hangs up has told Telnyx once already, or is about to.
            waits = HANG_UP_AFTER_S[1:] if self._leaving else HANG_UP_AFTER_S
            self._hanging_up = self._loop.create_task(self._keep_hanging_up(waits))

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self._gone = True
        super().ended_at_carrier(ended)

    async def transfer(self, to: str, ring_timeout_s: int = RING_TIMEOUT_S) -> None:
        stream_id = self._stream_id
        await super().transfer(to, ring_timeout_s)
        if self._stop is not None:
            try:
                await self._stop(stream_id)
            except CarrierFailed as failed:
                log.warning("call %s: its stream was not stopped: %s", self._leg_id, failed)

    def returned_on(self, stream_id: str) -> bool:
        """As `returned`; the new stream is this one."""
        if not self.returned():
            return False
        self._stream_id = stream_id
        self._chunk = -1
        return True

    def send_digits(self, digits: str) -> None:
        """By Telnyx, when what was said before has been heard. `w` and `W` are pauses of 0.5 and
        1 s. Raises `ValueError` for what is no key."""
        if self._presses is not None:
            self._presses.send(digits)
        else:
            super().send_digits(digits)

    async def _tell_to_hang_up(self) -> None:
        assert self._at_telnyx is not None
        await self._at_telnyx()
        self._gone = True

    async def _keep_hanging_up(self, waits: tuple[float, ...]) -> None:
        for wait_s in waits:
            await asyncio.sleep(wait_s)
            if self._gone:
                return
            try:
                await self._tell_to_hang_up()
            except Exception as failure:
                log.warning("call %s: Telnyx did not hang up: %s", self._leg_id, failure)
        if not self._gone:
            log.error("call %s may still be open at Telnyx: hang it up there", self._leg_id)

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
