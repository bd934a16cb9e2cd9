"""A call from a web page: `BrowserLine`, without the socket.

The page's socket may be lost and come back, while the line goes on: `attach` when there is one,
`detach` when there is none. `socket.py` feeds it each message (`take`) and sends what it has to
say (`next_message`). In order of frequency:

1. binary: the microphone's audio in the line's format, straight into `LineEvents.line_audio`;
2. `played`: where the page is in what it was sent, which is what `heard_ms` goes by;
3. `ping`, `digit`, `skip`, `stop`.

What was sent is kept until the page says that it has it, so that a new socket goes on where the
old one broke off. While there is none nothing is spoken, and after `RESUME_S` the call is over.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any

import orjson

from chorus.audio.frame import AudioFormat
from chorus.lines.browser.messages import (
    Digit,
    Ping,
    Played,
    Resume,
    Skip,
    Stop,
    WrongMessage,
    read,
)
from chorus.lines.browser.position import Position
from chorus.lines.dtmf import tones
from chorus.lines.inbox import Inbox
from chorus.lines.line import LineCause, LineEnded, LineEvents

log = logging.getLogger(__name__)

PROVIDER = "browser"
RESUME_S = 10.0
MAX_BAD = 50
# A page sends 20 ms at a time; a second of the widest format is 48 KB.
MAX_AUDIO_BYTES = 48_000
# How far the caller's audio may run ahead of the clock: a burst after a stalled network is normal.
MAX_AHEAD_MS = 10_000
# Control messages: twenty reports a second and a few others.
MAX_CONTROL_A_S = 60
CONTROL_BURST = 240
# What may wait for a page that does not say that it has it.
MAX_KEPT_MS = 60_000
# One message holds at most this much, so that a clear never waits behind a long one.
PIECE_MS = 200
# Those of the timeline (docs/conversation.md) that a page is told. Tools, operators, costs and
# failures are not its business: it may be the page of somebody whose customer talks.
TOLD = frozenset(
    {
        "answered",
        "speech_started",
        "speech_paused",
        "words",
        "turn_committed",
        "turn_dropped",
        "retracted",
        "agent_paused",
        "agent_resumed",
        "interrupted",
        "reply_started",
        "reply_heard",
        "turn_latency",
        "caller_silent",
        "ended",
    }
)
MAX_WAITING_EVENTS = 500


class BrowserLine:
    """Implements `MediaLine`, and `TellingLine`: the page is told what happens in the call."""

    provider = PROVIDER
    lossless = True  # a WebSocket
    takes_keys = False
    # Covers a network that stands still for a moment. It costs no time: the page plays the first
    # of it at once, and throws the rest away when it is told to clear.
    lead_ms = 400

    def __init__(self, call_id: str, format: AudioFormat) -> None:
        self._loop = asyncio.get_running_loop()
        self.call_id = call_id
        self._format = format
        self._leg_id = f"browser-{secrets.token_hex(8)}"
        self.resume_token = secrets.token_urlsafe(32)
        self._inbox = Inbox()
        self._position = Position()
        # What was played since the last clear and is not known to have arrived: `_from` is where
        # it begins and `_next` where sending goes on, in bytes of the epoch.
        self._audio = bytearray()
        self._from = self._next = 0
        self._controls: deque[str] = deque()
        self._began_s = self._loop.time()
        self._next_ms = 0.0
        self._attached = False
        self._given_up: asyncio.TimerHandle | None = None
        self._bad = 0
        self._budget = float(CONTROL_BURST)
        self._budget_s = self._began_s
        self._leaving = False
        self.wake = asyncio.Event()

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
        if len(self._audio) > self._format.size(MAX_KEPT_MS):
            self.end(LineCause.DROPPED, "the page stopped taking what it is sent")
            return
        self._audio += audio
        self._position.sent(self._format.ms(len(audio)), self._loop.time())
        self.wake.set()

    def clear(self) -> None:
        if self.over:
            return
        self._position.clear(self._loop.time())
        self._audio.clear()
        self._from = self._next = 0
        # It overtakes all audio, which belongs to the epoch that it ends.
        self._say({"type": "clear", "epoch": self._position.epoch})

    @property
    def ahead_ms(self) -> float:
        ahead_ms = self._position.ahead_ms(self._loop.time())
        return ahead_ms if self._attached else max(ahead_ms, self.lead_ms)

    @property
    def sent_ms(self) -> float:
        return self._position.sent_ms

    @property
    def heard_ms(self) -> float:
        return self._position.heard_ms(self._loop.time())

    def send_digits(self, digits: str) -> None:
        """As tones in the audio. Raises `ValueError` for what is no key."""
        self.play(tones(digits, self._format))

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self.end(ended.cause, ended.detail)

    async def hang_up(self) -> None:
        self._leaving = True
        self.end(LineCause.LOCAL)

    def tell(self, kind: str, at_ms: int, data: Mapping[str, Any]) -> None:
        """Something happened in the call; `at_ms` since it was answered."""
        if kind in TOLD and len(self._controls) < MAX_WAITING_EVENTS:
            self._say({"type": "event", "kind": kind, "atMs": at_ms, "data": dict(data)})

    # The socket's side.

    @property
    def over(self) -> bool:
        return self._inbox.ended is not None

    @property
    def ended(self) -> LineEnded | None:
        return self._inbox.ended

    def attach(self, resume: Resume | None = None) -> None:
        """A socket is there, the first one or one that goes on."""
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None
        self._attached = True
        if resume is not None:
            self._go_on(resume)
        self._controls.appendleft(
            _json(
                {
                    "type": "started",
                    "callId": self.call_id,
                    "resumeToken": self.resume_token,
                    "resumeWithinMs": int(RESUME_S * 1000),
                    "epoch": self._position.epoch,
                    "format": f"{self._format.encoding}/{self._format.rate_hz}",
                }
            )
        )
        self.wake.set()

    def _go_on(self, resume: Resume) -> None:
        """Send what did not arrive; what the microphone heard meanwhile is a hole."""
        size = resume.received * self._format.sample_bytes
        if resume.epoch == self._position.epoch and self._from <= size <= self._end:
            self._next = size
        else:
            # It has not had the last clear, so it has nothing of what came after.
            self._next = self._from
        self._next_ms = max(self._next_ms, (self._loop.time() - self._began_s) * 1000)

    def detach(self) -> None:
        """The socket is gone. Nobody hears anything until there is another."""
        if not self._attached or self.over:
            return
        self._attached = False
        self._position.lost(self._loop.time())
        self._given_up = self._loop.call_later(
            RESUME_S, self.end, LineCause.DROPPED, "the page lost its connection and did not return"
        )

    def end(self, cause: LineCause, detail: str = "") -> None:
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None
        self._inbox.end(LineEnded(LineCause.LOCAL) if self._leaving else LineEnded(cause, detail))
        self.wake.set()

    def take(self, message: str | bytes) -> None:
        if self.over:
            return
        if isinstance(message, bytes):
            self._audio_in(message)
            return
        if not self._may_control():
            self._complain("more control messages than a page sends")
            return
        try:
            self._control(message)
        except WrongMessage as wrong:
            self._complain(str(wrong))

    def next_message(self) -> str | bytes | None:
        if self._controls:
            return self._controls.popleft()
        if self._next >= self._end:
            return None
        begin = self._next - self._from
        piece = bytes(self._audio[begin : begin + self._format.size(PIECE_MS)])
        self._next += len(piece)
        return piece

    @property
    def _end(self) -> int:
        return self._from + len(self._audio)

    def _say(self, message: dict[str, Any]) -> None:
        self._controls.append(_json(message))
        self.wake.set()

    def _audio_in(self, chunk: bytes) -> None:
        if len(chunk) > MAX_AUDIO_BYTES or len(chunk) % self._format.sample_bytes:
            self._complain(f"audio of {len(chunk)} bytes")
            return
        length_ms = self._format.ms(len(chunk))
        if self._next_ms + length_ms > self._passed_ms() + MAX_AHEAD_MS:
            self._complain("audio from the future")
            return
        if chunk:
            self._inbox.audio(chunk, self._next_ms)
            self._next_ms += length_ms

    def _control(self, message: str) -> None:
        match read(message):
            case Played() as told:
                self._played(told)
            case Ping(t):
                self._say({"type": "pong", "t": t})
            case Digit(digit):
                self._inbox.digit(digit)
            case Skip(ms):
                self._next_ms = min(self._next_ms + ms, max(self._next_ms, self._passed_ms()))
            case Stop():
                self.end(LineCause.FAR_END)

    def _played(self, told: Played) -> None:
        if told.epoch != self._position.epoch:
            return
        ms = self._format.ms(told.played * self._format.sample_bytes)
        self._position.reported(told.epoch, ms, told.plays, told.round_trip_ms, self._loop.time())
        arrived = min(told.received * self._format.sample_bytes, self._next)
        if arrived > self._from:
            del self._audio[: arrived - self._from]
            self._from = arrived

    def _passed_ms(self) -> float:
        return (self._loop.time() - self._began_s) * 1000

    def _may_control(self) -> bool:
        now_s = self._loop.time()
        earned = (now_s - self._budget_s) * MAX_CONTROL_A_S
        self._budget, self._budget_s = min(self._budget + earned, CONTROL_BURST), now_s
        self._budget -= 1
        return self._budget >= 0

    def _complain(self, what: str) -> None:
        self._bad += 1
        if self._bad <= 3:
            log.warning("call %s: the page sent a bad message: %s", self.call_id, what)
        if self._bad > MAX_BAD:
            self.end(LineCause.FAILED, f"too many bad messages from the page, the last: {what}")


def _json(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()
