"""A call on Twilio Media Streams: `TwilioLine`, without the socket.

`lines/media_socket.py` feeds it each message (`take`) and sends what it has to say
(`next_message`); everything in between is plain synchronous code, because there are fifty
messages a second and call. What happens to a message, in order of frequency:

1. `media`: base64 µ-law, 20 ms, straight into `LineEvents.line_audio`;
2. `mark`: our own, echoed when the audio before it was played: moves `heard_ms`;
3. `dtmf`, `stop`, anything unknown (ignored: the protocol grows).

What is malformed is counted and dropped; after `MAX_BAD` the line ends FAILED. Message
formats: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import asyncio
import logging
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

import orjson

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.lines.dtmf import KEYS, tones
from chorus.lines.inbox import Inbox
from chorus.lines.line import LineCause, LineEnded, LineEvents, LineMove, MoveRefused
from chorus.lines.playhead import Playhead
from chorus.lines.twilio import twiml

log = logging.getLogger(__name__)

# A 20 ms frame is about 400 bytes; nothing that Twilio sends comes near this.
MAX_MESSAGE_CHARS = 64 * 1024
MAX_BAD = 50
# How far the caller's audio may run ahead of the clock, in its timestamps or in its amount. A
# burst after a stalled network is normal; more is a broken or hostile peer, and a timestamp
# of next year must not make anybody fill a year with silence.
MAX_AHEAD_MS = 10_000
# One message holds at most this much, so that a long prompt does not become one huge frame.
PIECE_BYTES = MULAW_8K.size(400)
# Below this, time alone tells the position well enough, and a mark for every 20 ms piece
# would double the messages in both directions.
MARK_EVERY_BYTES = MULAW_8K.size(100)
# A peer that does not read is given up when audio has waited for it this long. Looked at when
# more is played: a timer for every message would cost as much as sending it.
STALL_S = 10.0
# What may wait in memory meanwhile.
MAX_UNSENT_BYTES = MULAW_8K.size(5 * 60_000)
# How long the API may take to hang up. The caller, who has heard the goodbye, is left in silence
# meanwhile; the end of the socket ends the call as well, since nothing follows it in the TwiML.
HANG_UP_S = 3.0
# How long a status callback that says "completed" waits for the `stop` that belongs to it.
STOP_GRACE_S = 2.0

_TARGET = re.compile(r"\+[1-9]\d{1,14}|sips?:\S{1,250}")


class TwilioLine:
    """Implements `MediaLine` and `TransferableLine`. `end_call` hangs up at the carrier; without it
    (no credentials) the socket's end does, a little later. `redirect` has the carrier do other
    TwiML with the call, or raises `MoveRefused`."""

    provider = "twilio"
    # Twilio plays from its own buffer, so audio must be there before it is due: 200 ms covers
    # the internet's jitter and a busy loop here. More would only be thrown away by `clear`,
    # and be out of reach for a mix with background sound.
    lead_ms = 200
    lossless = True  # a WebSocket
    takes_keys = True

    def __init__(
        self,
        stream_sid: str,
        leg_id: str,
        end_call: Callable[[], Awaitable[None]] | None = None,
        redirect: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream_sid = stream_sid
        self._leg_id = leg_id
        self._end_call = end_call
        self._redirect = redirect
        self._move: Literal["asked", "done"] | None = None
        self._ended_meanwhile: LineEnded | None = None
        self._inbox = Inbox()
        self._head = Playhead()
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
        sid = orjson.dumps(stream_sid).decode()
        self._media_head = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._clear_text = f'{{"event":"clear","streamSid":{sid}}}'
        self._mark_head = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":"'

    # The Line, for the conversation.

    @property
    def format(self) -> AudioFormat:
        return MULAW_8K

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
        if stalled or len(self._unsent) + len(audio) > MAX_UNSENT_BYTES:
            self.end(LineCause.DROPPED, "the carrier stopped reading the media stream")
            return
        self._unsent += audio
        self._head.sent(MULAW_8K.ms(len(audio)), now_s)
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
        self.play(tones(digits, MULAW_8K))

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
            # The socket is closed now, which ends the call too.
            self.end(LineCause.LOCAL)

    async def transfer(self, to: str) -> None:
        if self.over or self._leaving or self._move is not None:
            raise MoveRefused("the call is over, or is being transferred")
        if self._redirect is None or not _TARGET.fullmatch(to):
            raise MoveRefused(f"{to} cannot be dialled: an E.164 number or a SIP address can")
        self._move = "asked"
        try:
            await self._redirect(twiml.dial(to))
        except BaseException:
            self._move = None
            if (ended := self._ended_meanwhile) is not None:
                self.end(ended.cause, ended.detail)
            raise
        self._move = "done"
        self._inbox.moved(LineMove.TRANSFERRED)
        if self._ended_meanwhile is not None:
            self.end(LineCause.TRANSFERRED)
        else:
            # The stream stops at once, and says so.
            self._loop.call_later(STOP_GRACE_S, self.end, LineCause.TRANSFERRED)

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

    def ended_at_carrier(self, ended: LineEnded) -> None:
        """The `stop` normally comes first; a socket that died silently is found out by this."""
        if not self.over:
            self._loop.call_later(STOP_GRACE_S, self.end, ended.cause, ended.detail)

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

    def _protocol_error(self, what: str) -> None:
        """Count something that no carrier should send."""
        self.bad += 1
        if self.bad == 1:
            log.warning("call %s: the carrier sent %s", self._leg_id, what)
        if self.bad > MAX_BAD:
            self.end(LineCause.FAILED, f"too many bad messages, the last: {what}")

    def next_message(self) -> str | None:
        """What to send now, None when there is nothing. `clear` overtakes all audio."""
        if self._clear_due:
            self._clear_due = False
            return self._clear_text
        if self._mark_due:
            self._mark_due = False
            self._marked = self._written
            return f'{self._mark_head}{self._head.epoch}:{self._written}"}}}}'
        if not self._unsent:
            return None
        self._waits_since_s = self._loop.time()
        piece = self._unsent[:PIECE_BYTES]
        del self._unsent[:PIECE_BYTES]
        self._written += len(piece)
        self._mark_due = self._written - self._marked >= MARK_EVERY_BYTES
        return f'{self._media_head}{b2a_base64(piece, newline=False).decode("ascii")}"}}}}'

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
        at_ms = self._next_ms
        if stamp is not None:
            if self._first_ms is None:
                self._first_ms = float(stamp)
            # Over TCP nothing is reordered, so a timestamp in the past is rounding.
            at_ms = max(at_ms, float(stamp) - self._first_ms)
        next_ms = at_ms + MULAW_8K.ms(len(chunk))
        passed_ms = (self._loop.time() - self._began_s) * 1000
        if next_ms > passed_ms + MAX_AHEAD_MS:
            self._protocol_error("audio from the future")
            return None
        self._next_ms = next_ms
        return (chunk, at_ms) if chunk else None

    def _rarer(self, event: object, message: dict[str, Any]) -> None:
        if event in ("mark", "dtmf", "stop") and message.get("streamSid") != self._stream_sid:
            self._protocol_error(f"a {event} of another stream")
        elif event == "mark":
            self._mark(_field(message, "mark", "name"))
        elif event == "dtmf":
            digit = _field(message, "dtmf", "digit")
            if len(digit) == 1 and digit in KEYS:
                self._inbox.digit(digit)
            else:
                self._protocol_error("a dtmf without a key")
        elif event == "stop":
            self.end(LineCause.FAR_END)
        elif event == "start":
            self._protocol_error("a second start")

    def _mark(self, name: str) -> None:
        epoch, _, written = name.partition(":")
        if len(name) < 40 and epoch.isdecimal() and written.isdecimal():
            position_ms = MULAW_8K.ms(int(written))
            self._head.acknowledged(int(epoch), position_ms, self._loop.time())
        else:
            self._protocol_error("a mark that is not ours")


def _field(message: dict[str, Any], outer: str, inner: str) -> str:
    """`message[outer][inner]` if it is a string there, else an empty one."""
    body = message.get(outer)
    value = cast("dict[str, Any]", body).get(inner) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""
