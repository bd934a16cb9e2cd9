"""A streamed line whose carrier has conferences, in which two calls that are talked on are
connected. The person goes first, and comes back to Chorus if the caller does not follow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from chorus.audio.frame import AudioFormat
from chorus.lines.absent import AbsentStreamedLine
from chorus.lines.line import Line, LineCause, LineEnded, LineMove, MoveRefused

log = logging.getLogger(__name__)

BACK_S = 10.0
"""Whoever is to come back from a conference does so at once, or is gone."""


class Moving(Protocol):
    """What a carrier can have one call do besides its media stream. All raise `MoveRefused`, after
    which the call is as it was, or nobody knows."""

    async def dial(self, to: str, ring_timeout_s: int) -> None:
        """Call `to` for the person."""
        ...

    def room(self) -> str:
        """Names the conference in which this call is to be connected with another."""
        ...

    async def confer(self, room: str) -> None:
        """Put the person into a conference of this name."""
        ...

    async def come_back(self) -> None:
        """Have the person on a media stream again; it is a new one of the same call."""
        ...


class ConferenceLine(AbsentStreamedLine):
    """Implements `AbsentLine` and `JoinableLine`, up to the messages."""

    def __init__(
        self,
        leg_id: str,
        format: AudioFormat,
        end_call: Callable[[], Awaitable[None]] | None = None,
        moves: Moving | None = None,
    ) -> None:
        super().__init__(leg_id, format, end_call, None if moves is None else moves.dial)
        self._moves = moves
        self._gone_there = False
        """The carrier has said that the call is over; the line ends a moment later."""
        self._ending: asyncio.Task[None] | None = None

    async def connect_with(self, other: Line) -> None:
        """In a conference. Nobody is left alone there: the person comes back to Chorus if the
        caller was not sent after them, and where nobody knows, both calls are ended."""
        if not isinstance(other, type(self)) or self._moves is None or other._moves is None:
            raise MoveRefused(f"the other call is not at {self.provider}")
        self._movable()
        other._movable()
        room = self._moves.room()
        try:
            await other._asked(other._confer(other._moves, room))
        except BaseException:
            if other.over:
                # They hung up in that moment, or wait where nobody will come.
                other._end_at_carrier()
            raise
        other._ended_meanwhile = None
        other._absent = True
        try:
            await self._asked(self._confer(self._moves, room))
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

    async def _confer(self, moves: Moving, room: str) -> None:
        """Returns when the carrier has the person in the conference, or on the way there."""
        await moves.confer(room)

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
            self._ending = self._loop.create_task(self._ended_there(self._end_call))

    async def _ended_there(self, end_call: Callable[[], Awaitable[None]]) -> None:
        try:
            await end_call()
        except Exception as failure:
            log.error("call %s may still be open at %s: %s", self._leg_id, self.provider, failure)

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self._gone_there = True
        super().ended_at_carrier(ended)
