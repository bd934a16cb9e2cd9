"""A call whose audio comes over a websocket, without the socket: what all such lines share.

`lines/media_socket.py` feeds it each message (`take`) and sends what it has to say
(`next_message`); everything in between is plain synchronous code, because there are fifty
messages a second and call. A carrier's line is a subclass that knows the messages:

- `take` reads one, and hands on what is in it: `_timed` and `_inbox.audio`, `_digit_came`,
  `_acknowledged`;
- `_audio_message`, `_clear_message` and, where the carrier has marks, `_mark_message` write them.

What is malformed is counted and dropped (`_protocol_error`); after `MAX_BAD` the line ends FAILED.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Literal

from chorus.audio.frame import AudioFormat
from chorus.lines.dtmf import KEYS, tones
from chorus.lines.inbox import Inbox
from chorus.lines.line import (
    RING_TIMEOUT_S,
    LineCause,
    LineEnded,
    LineEvents,
    LineMove,
    MoveRefused,
)
from chorus.lines.playhead import Playhead

log = logging.getLogger(__name__)

# A 20 ms frame is some hundred bytes; nothing that a carrier sends comes near this.
MAX_MESSAGE_CHARS = 64 * 1024
MAX_BAD = 50
# How far the caller's audio may run ahead of the clock, in its timestamps or in its amount. A
# burst after a stalled network is normal; more is a broken or hostile peer, and a timestamp
# of next year must not make anybody fill a year with silence.
MAX_AHEAD_MS = 10_000
# One message holds at most this much, so that a long prompt does not become one huge frame.
PIECE_MS = 400
# Below this, time alone tells the position well enough, and a mark for every 20 ms piece
# would double the messages in both directions.
MARK_EVERY_MS = 100
# A peer that does not read is given up when audio has waited for it this long. Looked at when
# more is played: a timer for every message would cost as much as sending it.
STALL_S = 10.0
# What may wait in memory meanwhile.
MAX_UNSENT_MS = 5 * 60_000
# How long the API may take to hang up. The caller, who has heard the goodbye, is left in silence
# meanwhile; at most carriers the end of the socket ends the call as well.
HANG_UP_S = 3.0
# How long a status callback that says "completed" waits for the end of the stream itself.
STOP_GRACE_S = 2.0

_TARGET = re.compile(r"\+[1-9]\d{1,14}|sips?:\S{1,250}")


class StreamedLine:
    """Implements `MediaLine` and `TransferableLine`, up to the messages. `end_call` hangs up at the
    carrier; without it (no credentials) the socket's end does at most carriers, a little later.
    `redirect` has the carrier connect the call with somebody else, who may ring for so many
    seconds, or raises `MoveRefused`."""

    provider: str
    # The carrier plays from its own buffer, so audio must be there before it is due: 200 ms covers
    # the internet's jitter and a busy loop here. More would only be thrown away by `clear`,
    # and be out of reach for a mix with background sound.
    lead_ms = 200
    lossless = True  # a WebSocket
    has_marks = True
    takes_keys = True

    def __init__(
        self,
        leg_id: str,
        format: AudioFormat,
        end_call: Callable[[], Awaitable[None]] | None = None,
        redirect: Callable[[str, int], Awaitable[None]] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._leg_id = leg_id
        self._format = format
        self._end_call = end_call
        self._redirect = redirect
        self._move: Literal["asked", "done"] | None = None
        self._ended_meanwhile: LineEnded | None = None
        self._inbox = Inbox()
        self._head = Playhead()
        self._piece_bytes = format.size(PIECE_MS)
        self._mark_every_bytes = format.size(MARK_EVERY_MS)
        self._max_unsent_bytes = format.size(MAX_UNSENT_MS)
        self._unsent = bytearray()
        self._waits_since_s = 0.0
        self._clear_due = False
        # Since the last `clear`: bytes that left `_unsent`, and how many of them are marked.
        self._written = 0
        self._marked = 0
        self._mark_due = False
        self._began_s = self._loop.time()
        self._first_ms: float | None = None
        self._next_ms = 0.0
        self._leaving = False
        self.bad = 0
        self.wake = asyncio.Event()

    # The carrier's messages.

    def take(self, message: str | bytes) -> None:
        """One message of the carrier. Never raises for what is in it."""
        raise NotImplementedError

    def _audio_message(self, piece: bytes) -> str | bytes:
        raise NotImplementedError

    def _clear_message(self) -> str | bytes:
        raise NotImplementedError

    def _mark_message(self, name: str) -> str | bytes:
        raise NotImplementedError

    # The Line, for the conversation.

    @property
    def format(self) -> AudioFormat:
        return self._format

    @property
    def leg_id(self) -> str:
        return self._leg_id

    def start(self, events: LineEvents) -> None:
        self._inbox.start(events)

    def play(self, audio: bytes) -> None:
        if not audio or self.over:
            return
        now_s = self._loop.time()
        if not self._unsent:
            self._waits_since_s = now_s
        stalled = now_s - self._waits_since_s > STALL_S
        if stalled or len(self._unsent) + len(audio) > self._max_unsent_bytes:
            self.end(LineCause.DROPPED, "the carrier stopped reading the media stream")
            return
        self._unsent += audio
        self._head.sent(self._format.ms(len(audio)), now_s)
        self.wake.set()

    def clear(self) -> None:
        if self.over:
            return
        self._unsent.clear()
        self._head.clear(self._loop.time())
        self._written = self._marked = 0
        self._mark_due = False
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
        """As tones in the audio: a stream has no message for keys. `w` and `W` are pauses of
        0.5 and 1 s. Raises `ValueError` for what is no key."""
        self.play(tones(digits, self._format))

    async def hang_up(self) -> None:
        if self.over or self._leaving:
            return
        self._leaving = True
        try:
            if self._end_call is not None:
                async with asyncio.timeout(HANG_UP_S):
                    await self._end_call()
        except TimeoutError:
            log.warning("call %s: the carrier was too slow to hang up", self._leg_id)
        except Exception:
            log.exception("call %s: the carrier did not hang up when asked", self._leg_id)
        finally:
            # The socket is closed now, which at most carriers ends the call too.
            self.end(LineCause.LOCAL)

    async def transfer(self, to: str, ring_timeout_s: int = RING_TIMEOUT_S) -> None:
        await self._ask_to_move(to, ring_timeout_s)
        self._left()

    def _left(self) -> None:
        """The carrier has the far end now."""
        self._move = "done"
        self._inbox.moved(LineMove.TRANSFERRED)
        if self._ended_meanwhile is not None:
            self.end(LineCause.TRANSFERRED)
        else:
            # The stream stops at once, and says so.
            self._loop.call_later(STOP_GRACE_S, self.end, LineCause.TRANSFERRED)

    async def _ask_to_move(self, to: str, ring_timeout_s: int) -> None:
        self._movable()
        if self._redirect is None or not _TARGET.fullmatch(to):
            raise MoveRefused(f"{to} cannot be dialled: an E.164 number or a SIP address can")
        await self._asked(self._redirect(to, ring_timeout_s))

    def _movable(self) -> None:
        """Raises `MoveRefused` for a call that cannot be moved now."""
        if self.over or self._leaving or self._move is not None:
            raise MoveRefused("the call is over, or is being transferred")

    async def _asked(self, command: Awaitable[None]) -> None:
        """Wait until the carrier has taken or refused a command that moves the call."""
        self._move = "asked"
        try:
            await command
        except BaseException:
            self._move = None
            if (ended := self._ended_meanwhile) is not None:
                self.end(ended.cause, ended.detail)
            raise

    # The socket's side.

    @property
    def over(self) -> bool:
        return self._inbox.ended is not None

    @property
    def ended(self) -> LineEnded | None:
        return self._inbox.ended

    def end(self, cause: LineCause, detail: str = "") -> None:
        """The first reason stands, except that whoever asked to hang up gets LOCAL for
        everything that follows from it."""
        if self.over:
            return
        if self._leaving:
            cause, detail = LineCause.LOCAL, ""
        elif cause in (LineCause.FAR_END, LineCause.DROPPED) and self._move is not None:
            # A redirect stops the stream as a hang-up does: which it was the carrier's answer says.
            if self._move == "asked":
                self._ended_meanwhile = LineEnded(cause, detail)
                return
            cause, detail = LineCause.TRANSFERRED, ""
        self._unsent.clear()
        self._inbox.end(LineEnded(cause, detail))
        self.wake.set()

    def closed(self, code: int) -> None:
        """The socket was closed by the carrier, with this code, before it said that the call is
        over."""
        self.end(LineCause.DROPPED, f"the media stream closed without a stop ({code})")

    def ended_at_carrier(self, ended: LineEnded) -> None:
        """The stream's own end normally comes first; a socket that died silently is found out by
        this."""
        if not self.over:
            self._loop.call_later(STOP_GRACE_S, self.end, ended.cause, ended.detail)

    def next_message(self) -> str | bytes | None:
        """What to send now, None when there is nothing. `clear` overtakes all audio."""
        if self._clear_due:
            self._clear_due = False
            return self._clear_message()
        if self._mark_due:
            self._mark_due = False
            self._marked = self._written
            return self._mark_message(f"{self._head.epoch}:{self._written}")
        if not self._unsent:
            return None
        self._waits_since_s = self._loop.time()
        piece = bytes(self._unsent[: self._piece_bytes])
        del self._unsent[: self._piece_bytes]
        self._written += len(piece)
        self._mark_due = self.has_marks and self._written - self._marked >= self._mark_every_bytes
        return self._audio_message(piece)

    # What a message held.

    def _protocol_error(self, what: str) -> None:
        """Count something that no carrier should send."""
        self.bad += 1
        if self.bad == 1:
            log.warning("call %s: the carrier sent %s", self._leg_id, what)
        if self.bad > MAX_BAD:
            self.end(LineCause.FAILED, f"too many bad messages, the last: {what}")

    def _timed(self, chunk: bytes, stamp_ms: float | None) -> tuple[bytes, float] | None:
        """`chunk` and where it belongs in the line's own time; None if it is empty, or comes from
        the future. `stamp_ms` is the carrier's time of its first sample, if it tells one."""
        at_ms = self._next_ms
        if stamp_ms is not None:
            if self._first_ms is None:
                self._first_ms = stamp_ms - self._next_ms
            # Over TCP nothing is reordered, so a timestamp in the past is rounding.
            at_ms = max(at_ms, stamp_ms - self._first_ms)
        next_ms = at_ms + self._format.ms(len(chunk))
        passed_ms = (self._loop.time() - self._began_s) * 1000
        if next_ms > passed_ms + MAX_AHEAD_MS:
            self._protocol_error("audio from the future")
            return None
        self._next_ms = next_ms
        return (chunk, at_ms) if chunk else None

    def _digit_came(self, digit: object) -> None:
        if isinstance(digit, str) and len(digit) == 1 and digit in KEYS:
            self._inbox.digit(digit)
        else:
            self._protocol_error("a dtmf without a key")

    def _acknowledged(self, name: object) -> None:
        """The carrier has played everything before the mark of this name."""
        epoch, _, written = name.partition(":") if isinstance(name, str) else ("", "", "")
        if len(epoch) + len(written) < 40 and epoch.isdecimal() and written.isdecimal():
            position_ms = self._format.ms(int(written))
            self._head.acknowledged(int(epoch), position_ms, self._loop.time())
        else:
            self._protocol_error("a mark that is not ours")
