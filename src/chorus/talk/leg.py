"""One leg of a call: a line, whoever listens to it, and the mouth that speaks into it.

`Leg` is the `LineEvents` of one line. Its audio goes to each of its ears in turn, as it comes: the
conversation, the recording, other legs (`bridge.py`), somebody who listens in. `Mouth` is the
other direction: it hands audio to the line, with the background sound under it, and puts it where
it will be heard in the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chorus.audio.codec import decode
from chorus.audio.frame import AudioFormat
from chorus.audio.mix import Background
from chorus.audio.record import Track
from chorus.audio.resample import Resampler
from chorus.lines.line import Line, LineEnded, LineMove

PIECE_MS = 60
"""Audio is topped up in pieces of at least this much, so that a call in mid-reply costs some
17 messages a second and not 50."""
FILL_MS = 40
"""The background sound alone is kept this far ahead, and no more: a reply waits behind it."""

Ear = Callable[[bytes, float], None]
"""Is given audio in the format of its source, and the line's own time of the first sample."""


class LegEvents(Protocol):
    """What a call hears of its legs. Called on the event loop; must not block."""

    def leg_digit(self, leg: Leg, digit: str) -> None: ...
    def leg_moved(self, leg: Leg, move: LineMove) -> None: ...
    def leg_ended(self, leg: Leg, ended: LineEnded) -> None: ...
    def leg_broke(self, leg: Leg, failure: Exception) -> None:
        """An ear has raised."""
        ...


class Ears:
    """Who hears a stream of audio; a tuple, so that a frame costs one walk along it."""

    __slots__ = ("ears",)

    def __init__(self) -> None:
        self.ears: tuple[Ear, ...] = ()

    def listen(self, ear: Ear) -> None:
        self.ears = (*self.ears, ear)

    def forget(self, ear: Ear) -> None:
        """Safe for one that does not listen."""
        self.ears = tuple(other for other in self.ears if other != ear)


class Mouth(Ears):
    """Into one line. `track` records what is sent. Its own ears are given what is sent, when it is
    sent: up to the line's lead before it is heard. `on_clear` are told when that was taken back."""

    __slots__ = ("_recorded_to_ms", "_resampler", "_track", "background", "line", "on_clear")

    def __init__(self, line: Line, track: Track | None = None) -> None:
        super().__init__()
        self.line = line
        self.background: Background | None = None
        """Under everything from now on; set as soon as it is loaded."""
        self.on_clear: tuple[Callable[[], None], ...] = ()
        self._track = track
        self._resampler = None if track is None else Resampler(self.format.rate_hz, track.rate_hz)
        self._recorded_to_ms = 0.0

    @property
    def format(self) -> AudioFormat:
        return self.line.format

    def send(self, audio: bytes, now: float) -> None:
        """Speech of the agent."""
        if self.background is not None:
            # A hair more, so that rounding does not make it a sample less than the speech.
            audio = self.background.under(audio, self.line.format.ms(len(audio)) + 1e-6)
        self._send(audio, now)

    def fill(self, now: float) -> None:
        """The background sound alone, if it is due."""
        if self.background is not None and self.line.ahead_ms < FILL_MS:
            self._send(self.background.under(None, PIECE_MS), now)

    def clear(self, now: float) -> None:
        """Silence at once; what was sent and not heard is gone, also from the recording."""
        line = self.line
        unheard_ms = line.sent_ms - line.heard_ms
        line.clear()
        if self._track is not None:
            self._track.cut(min(now, self._recorded_to_ms - unheard_ms))
        self._recorded_to_ms = now
        for cleared in self.on_clear:
            cleared()

    def _send(self, audio: bytes, now: float) -> None:
        """Hand audio to the line, and put it where it will be heard in the recording."""
        line = self.line
        ahead_ms = line.ahead_ms
        line.play(audio)
        for ear in self.ears:
            ear(audio, now)
        if self._track is None or self._resampler is None:
            return
        # What follows audio that is still to be played continues it without a seam; after a silence
        # it begins now.
        at_ms = self._recorded_to_ms if ahead_ms > 0 else max(now, self._recorded_to_ms)
        self._track.put(self._resampler.feed(decode(line.format, audio)), at_ms)
        self._recorded_to_ms = at_ms + line.format.ms(len(audio))


class Leg(Ears):
    """`track` is for whoever hears the line on the call's clock (`Hearing`); `said` records what is
    spoken into it. `events` is told what is no audio."""

    __slots__ = ("_events", "line", "mouth", "name", "private", "track")

    def __init__(
        self,
        name: str,
        line: Line,
        events: LegEvents,
        track: Track | None = None,
        said: Track | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.line = line
        self.mouth = Mouth(line, said)
        self.track = track
        self.private = False
        """What comes from the line now is recorded nowhere."""
        self._events = events

    @property
    def format(self) -> AudioFormat:
        return self.line.format

    def start(self) -> None:
        """The line delivers from now on."""
        self.line.start(self)

    def record(self, track: Track, clock: Callable[[], float]) -> Ear:
        """Put what comes from the line into `track`, at the time of `clock` (call milliseconds),
        until the ear that is returned is forgotten."""
        resampler = Resampler(self.format.rate_hz, track.rate_hz)

        def recorded(chunk: bytes, _at_ms: float) -> None:
            if not self.private:
                track.put(resampler.feed(decode(self.format, chunk)), clock())

        self.listen(recorded)
        return recorded

    # LineEvents
    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        try:
            for ear in self.ears:
                ear(chunk, at_ms)
        except Exception as failure:  # of this call; the line's own reader must go on
            self._events.leg_broke(self, failure)

    def line_digit(self, digit: str) -> None:
        self._events.leg_digit(self, digit)

    def line_moved(self, move: LineMove) -> None:
        self._events.leg_moved(self, move)

    def line_ended(self, ended: LineEnded) -> None:
        self._events.leg_ended(self, ended)
