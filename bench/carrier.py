"""One telephone call as Twilio's Media Streams carry it, with a caller who takes turns.

Protocol: https://www.twilio.com/docs/voice/media-streams/websocket-messages. The carrier sends
`connected`, `start`, and then a 20 ms µ-law frame every 20 ms for as long as the call lasts;
what it receives it queues and plays at the speed of speech; it echoes a `mark` when the audio
before it has been played, and throws the queue away on `clear`.

The caller waits, speaks, waits for the answer, hears it out (or, every so many turns, speaks
into it after a second), leaves a pause, and speaks again.
"""

from __future__ import annotations

import audioop
import base64
import json
import random
import time
import uuid
import wave
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from bench.tally import Tally

FRAME_MS = 20
FRAME_BYTES = 160
QUESTION = Path(__file__).with_name("question.wav")
# Digital silence as µ-law has it: positive and negative zero, and one step beside them.
QUIET = b"\xff\x7f\xfe\x7e"
SILENT_FRAME = base64.b64encode(b"\xff" * FRAME_BYTES)

now_s = time.perf_counter


def speech_frames(path: Path | BinaryIO) -> list[bytes]:
    """A mono 16-bit 8 kHz WAV as base64 µ-law frames, without the silence at its ends."""
    with wave.open(str(path) if isinstance(path, Path) else path) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, 8000):
            raise ValueError(f"{path} must be mono, 16 bits, 8000 Hz")
        pcm = file.readframes(file.getnframes())
    step = 2 * FRAME_BYTES
    frames = [pcm[i : i + step] for i in range(0, len(pcm) - step + 1, step)]
    loud = [i for i, frame in enumerate(frames) if audioop.rms(frame, 2) > 300]
    if not loud:
        raise ValueError(f"{path} holds no speech")
    frames = frames[loud[0] : loud[-1] + 1]
    return [base64.b64encode(audioop.lin2ulaw(frame, 2)) for frame in frames]


@dataclass(frozen=True, slots=True)
class Utterance:
    """`frames`: base64 µ-law of 20 ms each, without silence at the ends."""

    name: str
    frames: list[bytes]


@dataclass(frozen=True, slots=True)
class Manners:
    """How the caller behaves: says one utterance after another, each call beginning at another
    one. `barge_in_every` = 3 speaks into every third answer."""

    says: tuple[Utterance, ...]
    first_after_s: float = 1.5
    stagger_s: float = 7.0
    pause_s: float = 1.0
    patience_s: float = 8.0
    barge_in_every: int = 0
    barge_in_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where the called party wants the audio, as its TwiML said."""

    url: str
    parameters: dict[str, str]
    call_sid: str
    account_sid: str


class Phase(IntEnum):
    START = 0
    SPEAKING = 1
    WAITING = 2
    HEARING = 3


class Call(WSListener):
    """The carrier's side of one stream. `tick` must be called once every 20 ms."""

    def __init__(self, invitation: Invitation, manners: Manners, tally: Tally) -> None:
        self.closed = False
        self.turns = 0
        self.answers = 0
        self.said: list[str] = []
        """The names of what was said, in order."""
        self.quiet = False
        """Says nothing more, once what it is saying is said."""
        self._invitation = invitation
        self._manners = manners
        self._tally = tally
        self._stream_sid = f"MZ{uuid.uuid4().hex}"
        self._tail = b'"},"streamSid":"%s"}' % self._stream_sid.encode()
        self._transport: WSTransport | None = None
        self._sequence = 1
        self._chunk = 0
        self._phase = Phase.START
        self._next_said = random.randrange(len(manners.says))
        self._saying = manners.says[self._next_said]
        self._spoken = 0
        self._speak_at = 0.0
        self._speech_ended = 0.0
        self._played_until = 0.0
        # Not every caller in the same turn.
        self._first_barge_in = random.randrange(max(1, manners.barge_in_every))
        self._barge_in_at = 0.0
        self._barged_in = 0.0
        self._cut_in = False
        self._marks: deque[tuple[float, str]] = deque()

    @property
    def sid(self) -> str:
        return self._invitation.call_sid

    @property
    def saying(self) -> str:
        """The utterance that is being said, or was said last."""
        return self._saying.name

    # --- the socket -------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.send(WSMsgType.TEXT, b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
        start = {
            "accountSid": self._invitation.account_sid,
            "streamSid": self._stream_sid,
            "callSid": self._invitation.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._invitation.parameters,
        }
        self._send("start", start=start)
        wait_s = self._manners.first_after_s + random.random() * self._manners.stagger_s
        self._speak_at = now_s() + wait_s

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed = True
        if not self._tally.stopping:
            self._tally.disconnects += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now = now_s()
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = frame.get_payload_as_bytes()
        self._tally.messages += 1
        # Fifty a second a call: no JSON parser for what has one field of interest.
        key = message.find(b'"payload"')
        if key > 0:
            first = message.index(b'"', key + 9) + 1
            self._audio(base64.b64decode(message[first : message.index(b'"', first)]), now)
            return
        event = json.loads(message)
        if event["event"] == "mark":
            self._marks.append((self._played_until, event["mark"]["name"]))
        elif event["event"] == "clear":
            self._clear(now)

    def hang_up(self, *, politely: bool = True) -> None:
        """Say `stop` as Twilio does; impolitely, the connection just breaks."""
        if self._transport is None or self.closed:
            return
        self.closed = True
        if politely:
            ids = {
                "accountSid": self._invitation.account_sid,
                "callSid": self._invitation.call_sid,
            }
            self._send("stop", stop=ids)
            self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect(graceful=politely)

    # --- what the caller hears ----------------------------------------------------------

    def _audio(self, mulaw: bytes, now: float) -> None:
        tally, starts = self._tally, max(self._played_until, now)
        gap_s = now - self._played_until
        self._played_until = starts + len(mulaw) / 8000
        match self._phase:
            case Phase.HEARING:
                if tally.measuring:
                    tally.audio_came(gap_s)
            case Phase.WAITING:
                sound = mulaw.lstrip(QUIET)
                if sound:
                    heard = starts + (len(mulaw) - len(sound)) / 8000
                    self._answered(heard)
            case Phase.SPEAKING:
                if not self._barged_in and not self._cut_in and mulaw.strip(QUIET):
                    self._cut_in = True
                    if tally.measuring:
                        tally.cut_in(self._saying.name)
            case Phase.START:
                pass

    def _answered(self, heard: float) -> None:
        if self._tally.measuring:
            self._tally.answered(self._saying.name, heard - self._speech_ended)
        self.answers += 1
        self._phase = Phase.HEARING
        every = self._manners.barge_in_every
        wants = every and (self.turns + self._first_barge_in) % every == 0
        self._barge_in_at = heard + self._manners.barge_in_after_s if wants else 0.0

    def _clear(self, now: float) -> None:
        if self._barged_in:
            if self._tally.measuring:
                self._tally.barge_in_s.append(now - self._barged_in)
            self._barged_in = 0.0
        self._played_until = min(self._played_until, now)
        self._marks = deque((now, name) for _, name in self._marks)

    # --- what the caller says -----------------------------------------------------------

    def tick(self, now: float) -> None:
        if self.closed or self._transport is None:
            return
        self._decide(now)
        payload = SILENT_FRAME
        if self._phase == Phase.SPEAKING:
            payload = self._saying.frames[self._spoken]
            self._spoken += 1
        self._chunk += 1
        head = (
            f'{{"event":"media","sequenceNumber":"{self._next()}","media":{{"track":"inbound",'
            f'"chunk":"{self._chunk}","timestamp":"{self._chunk * FRAME_MS}","payload":"'
        )
        self._transport.send(WSMsgType.TEXT, head.encode() + payload + self._tail)
        if self._phase == Phase.SPEAKING and self._spoken == len(self._saying.frames):
            self._speech_over()
        while self._marks and self._marks[0][0] <= now:
            self._send("mark", mark={"name": self._marks.popleft()[1]})

    def _decide(self, now: float) -> None:
        if self.quiet:
            return
        match self._phase:
            case Phase.START:
                if now >= max(self._speak_at, self._played_until):
                    self._speak()
            case Phase.WAITING:
                if now - self._speech_ended > self._manners.patience_s:
                    if self._tally.measuring:
                        self._tally.unanswered += 1
                    self._speak()
            case Phase.HEARING:
                if self._barge_in_at and now >= self._barge_in_at:
                    self._speak()
                    self._barged_in = now
                elif now > self._played_until + self._manners.pause_s:
                    self._speak()
            case Phase.SPEAKING:
                pass

    def _speak(self) -> None:
        self._phase = Phase.SPEAKING
        self._saying = self._manners.says[self._next_said]
        self.said.append(self._saying.name)
        self._next_said = (self._next_said + 1) % len(self._manners.says)
        self._spoken = 0
        self._barge_in_at = 0.0
        self._cut_in = False

    def _speech_over(self) -> None:
        self.turns += 1
        self._tally.turns += self._tally.measuring
        self._speech_ended = now_s()
        self._phase = Phase.WAITING
        if self._barged_in or self._played_until > self._speech_ended:
            # The agent talks on: what comes now answers an earlier turn.
            self._tally.unheeded += self._tally.measuring and bool(self._barged_in)
            self._barged_in = 0.0
            self._phase = Phase.HEARING

    # --- messages -----------------------------------------------------------------------

    def _next(self) -> int:
        number = self._sequence
        self._sequence += 1
        return number

    def _send(self, event: str, **body: object) -> None:
        assert self._transport is not None
        message = {
            "event": event,
            "sequenceNumber": str(self._next()),
            "streamSid": self._stream_sid,
            **body,
        }
        self._transport.send(WSMsgType.TEXT, json.dumps(message).encode())
