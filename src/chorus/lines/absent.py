"""A streamed line whose stream stops while the carrier calls somebody else for the person, and
begins anew if that comes to nothing (`returned`). What became of it the carrier's webhooks say."""

from __future__ import annotations

import asyncio

from chorus.lines.line import RING_TIMEOUT_S, LineCause, LineEnded, LineMove
from chorus.lines.streamed import StreamedLine

UNTOLD_S = 30.0
"""So much longer than somebody may ring the news of it is waited for. Then it was lost: nobody was
told that the person came back, so somebody has them."""


class AbsentStreamedLine(StreamedLine):
    """Implements `AbsentLine`, up to the messages."""

    _absent = False
    _untold: asyncio.TimerHandle | None = None

    async def transfer(self, to: str, ring_timeout_s: int = RING_TIMEOUT_S) -> None:
        await self._ask_to_move(to, ring_timeout_s)
        # The stream has stopped, or will, and that is not the call's end.
        self._ended_meanwhile = None
        if self._move is not None:
            self._absent = True
            untold_s = ring_timeout_s + UNTOLD_S
            self._untold = self._loop.call_later(untold_s, self.transferred_at_carrier)

    def transferred_at_carrier(self) -> None:
        if self._move is None or self.over:
            return
        self._absent = False
        self._inbox.moved(LineMove.TRANSFERRED)
        self.end(LineCause.TRANSFERRED)

    def returned(self) -> bool:
        """Nobody was reached, and the person is back on another stream. False if they were here."""
        if self.over or self._move is None:
            return False
        if self._untold is not None:
            self._untold.cancel()
        self._absent, self._move, self._ended_meanwhile = False, None, None
        # The line's own time went on; the new stream's begins at nothing.
        self._next_ms = max(self._next_ms, (self._loop.time() - self._began_s) * 1000)
        self._first_ms = None
        self._anew()
        self.clear()
        self._inbox.moved(LineMove.NOT_TRANSFERRED)
        return True

    def _anew(self) -> None:
        """The stream is another one."""

    def play(self, audio: bytes) -> None:
        if self._absent:
            # Nobody hears it. The position goes on, so that whoever plays keeps time.
            self._head.sent(self._format.ms(len(audio)), self._loop.time())
        else:
            super().play(audio)

    def ended_at_carrier(self, ended: LineEnded) -> None:
        # Of the whole call, so the person has left while somebody else was called.
        if self._move is not None:
            self._absent, self._move, self._ended_meanwhile = False, None, None
        super().ended_at_carrier(ended)

    def end(self, cause: LineCause, detail: str = "") -> None:
        if self._absent and cause in (LineCause.FAR_END, LineCause.DROPPED) and not self._leaving:
            return
        super().end(cause, detail)
