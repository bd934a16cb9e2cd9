"""Two lines joined in one process: what one end plays, the other hears, in real time.

Each direction is a `_Way`: a queue that is played at 1x on the event loop's own clock, so
that on a virtual loop a minute of conversation takes milliseconds. Every 20 ms one frame
leaves it, with silence where nothing was queued, as a telephone network sends it. A frame
may be lost, late or delayed (`Weather`); the order never changes.

Used by tests of the conversation and wherever both ends of a call live in this process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from chorus.audio.frame import MULAW_8K, AudioFormat
from chorus.lines.dtmf import PAUSES_MS, check_digits
from chorus.lines.inbox import Inbox
from chorus.lines.line import LineCause, LineEnded, LineEvents

FRAME_MS = 20
# Two timers for the same moment fire in any order, so each is this much later than the last.
TICK_S = 1e-6


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is, in both directions, reproducibly by `seed`.

    `latency_ms` is added to everything; `jitter_ms` is the most by which one frame is late
    beyond that; `loss` is the share of frames (0 to 1) that never arrive.
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.latency_ms < 0 or self.jitter_ms < 0:
            raise ValueError("latency_ms and jitter_ms are not negative")
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss is a share between 0 and 1, not {self.loss}")


FAIR = Weather()


class _Way:
    """One direction of the pair, from `play` at one end to `line_audio` at the other."""

    def __init__(self, format: AudioFormat, weather: Weather, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._format = format
        self._weather = weather
        self._chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._size = format.size(FRAME_MS)
        self._silence = format.silence(FRAME_MS)
        self._queue = bytearray()
        self._began_s = self._loop.time()
        self._frames = 0
        self._last_due_s = 0.0
        self._sent_bytes = 0
        self._heard_bytes = 0
        self._epoch = 0
        self._closed = False
        self._next: asyncio.TimerHandle | None = None
        self._inbox: Inbox | None = None

    def open(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._next = self._loop.call_at(self._began_s + FRAME_MS / 1000, self._tick)

    def close(self) -> None:
        self._closed = True
        if self._next is not None:
            self._next.cancel()

    def put(self, audio: bytes) -> None:
        if not self._closed:
            self._queue += audio
            self._sent_bytes += len(audio)

    def clear(self) -> None:
        # What is under way is taken back too: `clear` of a line means now.
        self._queue.clear()
        self._epoch += 1
        self._sent_bytes = self._heard_bytes

    @property
    def sent_ms(self) -> float:
        return self._format.ms(self._sent_bytes)

    @property
    def heard_ms(self) -> float:
        return self._format.ms(self._heard_bytes)

    @property
    def ahead_ms(self) -> float:
        return self._format.ms(len(self._queue))

    def after_latency(self, deliver: Callable[[], None], pause_ms: float = 0.0) -> None:
        """In order with the frames: never before one that left earlier, unless after a pause."""
        due_s = self._loop.time() + (self._weather.latency_ms + pause_ms) / 1000
        if pause_ms:
            self._loop.call_at(due_s, deliver)
            return
        self._last_due_s = due_s = max(due_s, self._last_due_s + TICK_S)
        self._loop.call_at(due_s, deliver)

    def _tick(self) -> None:
        # More than one when the loop was held up: the deadline is absolute.
        while not self._closed and self._began_s + (self._frames + 1) * FRAME_MS / 1000 <= (
            self._loop.time() + 1e-6
        ):
            self._leave()
        if not self._closed:
            due_s = self._began_s + (self._frames + 1) * FRAME_MS / 1000
            self._next = self._loop.call_at(due_s, self._tick)

    def _leave(self) -> None:
        frame = bytes(self._queue[: self._size])
        del self._queue[: self._size]
        carried = len(frame)
        at_ms = self._frames * FRAME_MS
        self._frames += 1
        if carried < self._size:
            frame += self._silence[carried:]
        weather = self._weather
        lost = weather.loss > 0 and self._chance.random() < weather.loss
        late_ms = self._chance.uniform(0, weather.jitter_ms) if weather.jitter_ms else 0.0
        heard_due_s = self._loop.time() + weather.latency_ms / 1000
        due_s = max(heard_due_s + late_ms / 1000, self._last_due_s + TICK_S)
        if due_s <= self._loop.time():
            self._arrive(frame, carried, at_ms, self._epoch, lost)
            return
        self._last_due_s = due_s
        self._loop.call_at(due_s, self._arrive, frame, carried, at_ms, self._epoch, lost)

    def _arrive(self, frame: bytes, carried: int, at_ms: float, epoch: int, lost: bool) -> None:
        if epoch != self._epoch:
            frame = self._silence
        else:
            self._heard_bytes += carried
        if self._inbox is not None and not lost:
            self._inbox.audio(frame, at_ms)


class LoopbackLine:
    """One end of a pair; implements `Line`. Make it with `pair`."""

    def __init__(
        self, format: AudioFormat, out: _Way, leg_id: str, provider: str, lossless: bool
    ) -> None:
        self._format = format
        self._out = out
        self._leg_id = leg_id
        self._provider = provider
        self._lossless = lossless
        self._ended = False
        self._other: LoopbackLine | None = None
        self.inbox = Inbox()

    @property
    def format(self) -> AudioFormat:
        return self._format

    @property
    def takes_keys(self) -> bool:
        return True

    @property
    def lossless(self) -> bool:
        return self._lossless

    @property
    def lead_ms(self) -> int:
        return 200

    @property
    def ahead_ms(self) -> float:
        return self._out.ahead_ms

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def leg_id(self) -> str:
        return self._leg_id

    def start(self, events: LineEvents) -> None:
        self.inbox.start(events)

    def play(self, audio: bytes) -> None:
        if not self._ended:
            self._out.put(audio)

    def clear(self) -> None:
        if not self._ended:
            self._out.clear()

    @property
    def sent_ms(self) -> float:
        return self._out.sent_ms

    @property
    def heard_ms(self) -> float:
        return self._out.heard_ms

    def send_digits(self, digits: str) -> None:
        """Each digit reaches the other end as one `line_digit`, after the pauses (`w`, `W`) before
        it. Raises `ValueError` for a character that is no key."""
        check_digits(digits)
        other = self._other
        if self._ended or other is None:
            return
        pause_ms = 0.0
        for digit in digits:
            if digit in PAUSES_MS:
                pause_ms += PAUSES_MS[digit]
            else:
                self._out.after_latency(lambda digit=digit: other.inbox.digit(digit), pause_ms)
                pause_ms += TICK_S * 1000 if pause_ms else 0.0

    def ended_at_carrier(self, ended: LineEnded) -> None:
        self._finish(ended, ended)

    async def hang_up(self) -> None:
        self._finish(LineEnded(LineCause.LOCAL), LineEnded(LineCause.FAR_END))

    def drop(self, detail: str = "the wire was cut") -> None:
        """Both ends lose the call without a goodbye."""
        dropped = LineEnded(LineCause.DROPPED, detail)
        self._finish(dropped, dropped)

    def join(self, other: LoopbackLine) -> None:
        self._other = other
        self._out.open(other.inbox)

    def _finish(self, here: LineEnded, there: LineEnded) -> None:
        if self._ended:
            return
        other = self._other
        self._ended = True
        self._out.close()
        if other is not None and not other._ended:
            self._out.after_latency(lambda: other._end(there))
        self.inbox.end(here)

    def _end(self, ended: LineEnded) -> None:
        if not self._ended:
            self._ended = True
            self._out.close()
            self.inbox.end(ended)


def pair(
    format: AudioFormat = MULAW_8K,
    weather: Weather = FAIR,
    *,
    leg_id: str = "loopback",
    provider: str = "loopback",
    lossless: bool = False,
) -> tuple[LoopbackLine, LoopbackLine]:
    """Two ends of an answered call, whose time begins now. Needs a running event loop. `lossless`
    is what the lines say of themselves: the weather may say otherwise."""
    ways = [_Way(format, weather, weather.seed * 2 + side) for side in (0, 1)]
    near, far = (LoopbackLine(format, way, leg_id, provider, lossless) for way in ways)
    near.join(far)
    far.join(near)
    return near, far
