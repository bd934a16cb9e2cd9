"""A call on jambonz' `listen` verb: `JambonzLine`, a `StreamedLine` with jambonz' messages.

Audio is binary in both directions, 16-bit linear at the rate that the verb asked for; the rest is
JSON: `{"event": "dtmf", "dtmf": "1"}` and `{"type": "mark", "data": {"name", "event"}}` come,
`killAudio` and `mark` go. There is no message for the end: the socket is closed.

Three things of its media server (freeswitch-modules, mod_audio_fork) are met here:

- A mark stands in its buffer as a sample of the value -1. Real samples of that value would be
  taken for marks, which would be reported too early, so none is sent.
- It plays nothing of a piece until it has 160 ms at first, and 80 ms later on. The last
  syllable of what is said would stay there, so silence follows as soon as it has run dry.
- It keeps 30 marks at most. With a mark each 100 ms, and 200 ms ahead, a few are under way.

https://docs.jambonz.org/verbs/verbs/listen
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import numpy as np
import orjson

from chorus.audio.frame import AudioFormat
from chorus.lines.conference import ConferenceLine, Moving
from chorus.lines.key_presses import KeyPresses
from chorus.lines.line import LineCause, MoveRefused
from chorus.lines.streamed import MAX_MESSAGE_CHARS

FLUSH_MS = 160
"""Of silence after what was said; part of no position."""
_CLEAR = '{"type":"killAudio"}'
MOVED_S = 12.0
"""Longer than jambonz may take to ask where a call is to go (`moves.ASKED_WITHIN_S`)."""
# How its media server closes a stream that is over. A connection that is lost without a word
# arrives as 1005 or 1006.
_CLOSED_IN_ORDER = (1000, 1001)


class JambonzLine(ConferenceLine):
    """Implements `AbsentLine` and `JoinableLine`. `press` has jambonz press a key, or raises
    `CarrierFailed`; without it they are tones."""

    provider = "jambonz"

    def __init__(
        self,
        leg_id: str,
        rate_hz: int,
        end_call: Callable[[], Awaitable[None]] | None = None,
        moves: Moving | None = None,
        press: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(leg_id, AudioFormat("pcm16", rate_hz), end_call, moves)
        self._stopped = asyncio.Event()
        self._silence = self._format.silence(FLUSH_MS)
        self._flush_due = False
        self._flush_waits = False
        self._presses = KeyPresses(self, press) if press is not None else None

    def take(self, message: str | bytes) -> None:
        """One message of jambonz. Never raises for what is in it."""
        if len(message) > MAX_MESSAGE_CHARS:
            self._protocol_error("a message of more than 64 KiB")
        elif isinstance(message, bytes):
            self._audio(message)
        else:
            self._said(message)

    def send_digits(self, digits: str) -> None:
        """By jambonz, as events (RFC 4733). `w` and `W` are pauses of 0.5 and 1 s. Raises
        `ValueError` for what is no key."""
        if self._presses is not None:
            self._presses.send(digits)
        else:
            super().send_digits(digits)

    async def _confer(self, moves: Moving, room: str) -> None:
        """jambonz takes the command before it asks what to do. That it does it shows in the end of
        the stream, as a hang-up does; which it was its status webhook says."""
        self._stopped.clear()
        await super()._confer(moves, room)
        try:
            async with asyncio.timeout(MOVED_S):
                await self._stopped.wait()
        except TimeoutError:
            raise MoveRefused("jambonz took the command and did not move the call") from None
        if self.over:
            raise MoveRefused("the call ended meanwhile")

    def end(self, cause: LineCause, detail: str = "") -> None:
        super().end(cause, detail)
        self._stopped.set()

    def closed(self, code: int) -> None:
        if code in _CLOSED_IN_ORDER:
            self.end(LineCause.FAR_END)
        else:
            super().closed(code)

    def next_message(self) -> str | bytes | None:
        message = super().next_message()
        if message is None and self._flush_due:
            self._flush_due = False
            return self._silence
        return message

    def clear(self) -> None:
        super().clear()
        self._flush_due = False

    def _anew(self) -> None:
        self._flush_due = self._flush_waits = False

    def _audio_message(self, piece: bytes) -> bytes:
        if not self._flush_waits:
            self._flush_waits = True
            self._flush_when_dry()
        samples = np.frombuffer(piece, "<i2")
        marks = samples == -1
        return np.where(marks, np.int16(0), samples).tobytes() if marks.any() else piece

    def _clear_message(self) -> str:
        return _CLEAR

    def _mark_message(self, name: str) -> str:
        return f'{{"type":"mark","data":{{"name":"{name}"}}}}'

    def _flush_when_dry(self) -> None:
        """One timer for all that is said without a pause, not one for each piece."""
        if self.over:
            return
        ahead_ms = self.ahead_ms
        if ahead_ms > 0 or self._unsent:
            self._loop.call_later(max(ahead_ms, 20.0) / 1000, self._flush_when_dry)
            return
        self._flush_waits = False
        self._flush_due = True
        self.wake.set()

    def _audio(self, chunk: bytes) -> None:
        if len(chunk) % self._format.sample_bytes:
            self._protocol_error("half a sample")
            return
        audio = self._timed(chunk, None)
        if audio is not None:
            self._inbox.audio(*audio)

    def _said(self, message: str) -> None:
        try:
            body: dict[str, Any] = orjson.loads(message)
            event, kind = body.get("event"), body.get("type")
        except (ValueError, AttributeError) as error:
            self._protocol_error(f"a malformed message ({type(error).__name__})")
            return
        if event == "dtmf":
            self._digit_came(body.get("dtmf"))
        elif kind == "mark":
            data = body.get("data")
            mark = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
            if mark.get("event") != "cleared":  # nobody heard what was before that one
                self._acknowledged(mark.get("name"))
