"""A call on a WebSocket of VoxEngine: `VoximplantLine`, a `JsonLine` with its messages.

Sound is JSON with an `event` (`start`, `media`, `stop`) in both directions, µ-law at 8 kHz. What
the scenario has to say besides, and what it is asked for, are its own messages, JSON with
`chorus`: `digit`, `ended`, `transferred` and `not_transferred` come, `clear` and `transfer` go.

VoxEngine has no marks: what was heard is told by the clock.
https://voximplant.com/docs/guides/media-streams/format
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson

from chorus.audio.frame import MULAW_8K
from chorus.lines.json_line import JsonLine
from chorus.lines.key_presses import KeyPresses
from chorus.lines.line import RING_TIMEOUT_S, LineCause, LineMove

TAG = "agent"
_CLEAR = '{"chorus":"clear"}'


class VoximplantLine(JsonLine):
    provider = "voximplant"
    has_marks = False

    def __init__(
        self,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        *,
        presses: bool = False,
    ) -> None:
        """`presses`: the scenario can."""
        super().__init__(leg_id, MULAW_8K, end_call, self._ask_transfer)
        self._commands: list[str] = []
        self._pieces = 0
        self._sent = 0
        self._started = False
        self._presses = KeyPresses(self, self._press) if presses else None

    def _event(self, message: dict[str, Any]) -> object:
        """The scenario's own messages have none."""
        return message.get("event")

    def _rarer(self, event: object, message: dict[str, Any]) -> None:
        said = message.get("chorus")
        if event == "stop" or said == "ended":
            self.end(LineCause.FAR_END)
        elif said == "digit":
            self._digit_came(message.get("digit"))
        elif said == "transferred":
            self._transferred()
        elif said == "not_transferred" and self._move is not None:
            self._move = None
            self._inbox.moved(LineMove.NOT_TRANSFERRED)

    def next_message(self) -> str | bytes | None:
        if self._commands:
            return self._commands.pop(0)
        if self._unsent and not self._started:
            self._started = True
            start = {"mediaFormat": {"encoding": "ULAW", "sampleRate": 8000}, "tag": TAG}
            return orjson.dumps({"event": "start", "sequenceNumber": 0, "start": start}).decode()
        return super().next_message()

    def _audio_message(self, piece: bytes) -> str:
        self._pieces += 1
        at_ms = int(MULAW_8K.ms(self._sent))
        self._sent += len(piece)
        payload = b2a_base64(piece, newline=False).decode("ascii")
        return (
            f'{{"event":"media","sequenceNumber":{self._pieces},"media":{{"tag":"{TAG}",'
            f'"chunk":{self._pieces},"timestamp":{at_ms},"payload":"{payload}"}}}}'
        )

    def _clear_message(self) -> str:
        return _CLEAR

    def send_digits(self, digits: str) -> None:
        """By Voximplant. `w` and `W` are pauses of 0.5 and 1 s. Raises `ValueError` for what is no
        key."""
        if self._presses is not None:
            self._presses.send(digits)
        else:
            super().send_digits(digits)

    async def _press(self, digit: str) -> None:
        self._command({"chorus": "press", "digit": digit})

    async def _ask_transfer(self, to: str, ring_timeout_s: int) -> None:
        """The scenario calls `to` while the person stays here, and tells what came of it."""
        self._command({"chorus": "transfer", "to": to, "seconds": ring_timeout_s})

    def _command(self, command: dict[str, str | int]) -> None:
        self._commands.append(orjson.dumps(command).decode())
        self.wake.set()

    async def transfer(self, to: str, ring_timeout_s: int = RING_TIMEOUT_S) -> None:
        await self._ask_to_move(to, ring_timeout_s)

    def end(self, cause: LineCause, detail: str = "") -> None:
        # The stream goes on while somebody else is called, so its end is the call's.
        self._move = None
        super().end(cause, detail)

    def _transferred(self) -> None:
        if self._move is None:
            self._protocol_error("a transfer that nobody asked for")
            return
        self._inbox.moved(LineMove.TRANSFERRED)
        self.end(LineCause.TRANSFERRED)

    def _audio(self, message: dict[str, Any]) -> tuple[bytes, float] | None:
        """Its `timestamp` has no documented unit; over TCP nothing is missing."""
        media = cast("dict[str, Any]", message["media"])
        return self._timed(a2b_base64(media["payload"], strict_mode=True), None)
