"""Which leg of a call hears which: a routing table, and the audio that goes by it.

A route leads from a source (what comes from a leg's line, or what the agent says into one) to a
leg. A leg with one source is passed every chunk as it comes; one with several hears their mix,
made every 20 ms. Hold, connect, listen, whisper and take over are changes of the table and of
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chorus.audio.codec import decode, encode, mixed
from chorus.audio.frame import AudioFormat
from chorus.audio.pace import Ticker, Ticket
from chorus.audio.resample import Resampler
from chorus.talk.leg import Ear, Leg, Mouth

FRAME_MS = 20
READY_MS = 40
"""A source of a mix waits until it has so much, and again after it has run dry: chunks come
unevenly."""
KEPT_MS = 500
"""Of a source that is ahead no more than this is kept; the oldest is dropped."""
AHEAD_MS = 300
"""A chunk that would be heard later than this is left out: two people cannot talk over more."""


class Source(Protocol):
    """A `Leg` (what its person says) or a `Mouth` (what the agent says to a person)."""

    @property
    def format(self) -> AudioFormat: ...

    def listen(self, ear: Ear) -> None: ...
    def forget(self, ear: Ear) -> None: ...


class Bridge:
    """`clock` is the call's time in milliseconds; `on_error` is given what a mix raises."""

    def __init__(
        self, ticker: Ticker, clock: Callable[[], float], on_error: Callable[[Exception], None]
    ) -> None:
        self._ticker = ticker
        self._clock = clock
        self._on_error = on_error
        self._outs: dict[Leg, _Out] = {}

    @property
    def routes(self) -> list[tuple[Source, Leg]]:
        return [(source, to) for to, out in self._outs.items() for source in out.feeds]

    def route(self, source: Source, to: Leg) -> None:
        """`to` hears `source` from now on. Raises `ValueError` where they are the same leg."""
        if source is to:
            raise ValueError(f"leg '{to.name}' would hear itself")
        out = self._outs.get(to)
        if out is None:
            out = self._outs[to] = _Out(to, self._ticker, self._on_error)
        out.add(source)

    def cut(self, source: Source, to: Leg) -> None:
        """The end of a route; safe for one that is not there."""
        out = self._outs.get(to)
        if out is not None and out.remove(source):
            del self._outs[to]

    def connect(self, one: Leg, other: Leg) -> None:
        """Both hear each other."""
        self.route(one, other)
        self.route(other, one)

    def hold(self, leg: Leg) -> None:
        """`leg` hears nobody and nobody hears it; the agent may still speak to it."""
        for source, to in self.routes:
            if leg in (source, to):
                self.cut(source, to)

    def listen(self, listener: Leg, leg: Leg) -> None:
        """`listener` hears both sides of `leg`: its person, what the agent says to it, and whoever
        else it hears. Nobody hears the listener."""
        self.route(leg, listener)
        self.route(leg.mouth, listener)
        for source, to in self.routes:
            if to is leg and source is not listener:
                self.route(source, listener)

    def whisper(self, listener: Leg, to: Leg) -> None:
        """`to`, and nobody else, hears `listener`."""
        for source, other in self.routes:
            if source is listener and other is not to:
                self.cut(source, other)
        self.route(listener, to)

    def take_over(self, listener: Leg, leg: Leg) -> None:
        """`listener` speaks with `leg`; whoever else did is cut off from it. To silence the agent
        is its owner's part."""
        for source, to in self.routes:
            if source is not listener and to is leg:
                self.cut(source, to)
                if isinstance(source, Leg):
                    self.cut(leg, source)
        self.cut(leg.mouth, listener)
        self.connect(listener, leg)

    def remove(self, leg: Leg) -> None:
        """The leg has ended: no route leads from or to it."""
        for source, to in self.routes:
            if leg is to or source in (leg, leg.mouth):
                self.cut(source, to)

    def close(self) -> None:
        for source, to in self.routes:
            self.cut(source, to)


class _Out:
    """All that one leg hears by way of the table."""

    def __init__(self, leg: Leg, ticker: Ticker, on_error: Callable[[Exception], None]) -> None:
        self._line = leg.line
        self._format = leg.line.format
        self._ticker = ticker
        self._on_error = on_error
        self._ticket: Ticket | None = None
        self._frame_bytes = self._format.rate_hz * FRAME_MS // 1000 * 2
        self.feeds: dict[Source, _Feed] = {}

    def add(self, source: Source) -> None:
        if source in self.feeds:
            return
        feed = self.feeds[source] = _Feed(self, source.format, self._format)
        source.listen(feed.hear)
        if isinstance(source, Mouth):
            source.on_clear = (*source.on_clear, feed.clear)
        self._mix_or_pass()

    def remove(self, source: Source) -> bool:
        """Whether it was the last."""
        feed = self.feeds.pop(source, None)
        if feed is not None:
            source.forget(feed.hear)
            if isinstance(source, Mouth):
                source.on_clear = tuple(c for c in source.on_clear if c != feed.clear)
            self._mix_or_pass()
        return not self.feeds

    def send(self, audio: bytes) -> None:
        if self._line.ahead_ms < AHEAD_MS:
            self._line.play(audio)

    def _mix_or_pass(self) -> None:
        # The agent's voice comes in pieces ahead of its time: alone it needs the mixer's beat too.
        mixing = len(self.feeds) > 1 or any(isinstance(source, Mouth) for source in self.feeds)
        for feed in self.feeds.values():
            feed.passes = not mixing
        if mixing and self._ticket is None:
            self._ticket = self._ticker.add(self._tick, self._on_error)
        elif not mixing and self._ticket is not None:
            self._ticket.remove()
            self._ticket = None

    def _tick(self, _now: float) -> None:
        size = self._frame_bytes
        sum: bytes | None = None
        for feed in self.feeds.values():
            frame = feed.take(size)
            if frame is not None:
                sum = frame if sum is None else mixed(sum, frame)
        if sum is not None:
            self.send(encode(self._format, sum))


class _Feed:
    """One source on its way to one leg."""

    def __init__(self, out: _Out, source: AudioFormat, target: AudioFormat) -> None:
        self._out = out
        self._source, self._target = source, target
        self._resampler = Resampler(source.rate_hz, target.rate_hz)
        self._waiting = bytearray()  # pcm16 at the target's rate
        self._ready = False
        second = target.rate_hz * 2
        self._ready_bytes = second * READY_MS // 1000
        self._kept_bytes = second * KEPT_MS // 1000
        self.passes = True

    def hear(self, chunk: bytes, _at_ms: float) -> None:
        if self.passes and self._source == self._target:
            self._out.send(chunk)
            return
        pcm16 = self._resampler.feed(decode(self._source, chunk))
        if self.passes:
            self._out.send(encode(self._target, pcm16))
            return
        self._waiting += pcm16
        del self._waiting[: max(0, len(self._waiting) - self._kept_bytes)]

    def clear(self) -> None:
        self._waiting.clear()
        self._ready = False

    def take(self, size: int) -> bytes | None:
        """The next frame for the mix; None while there is none."""
        if not self._ready and len(self._waiting) < self._ready_bytes:
            return None
        self._ready = len(self._waiting) >= size
        if not self._ready:
            return None
        frame = bytes(self._waiting[:size])
        del self._waiting[:size]
        return frame
