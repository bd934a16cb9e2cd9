"""From a reply's sound to what the caller heard of it.

`play` takes an utterance, whole or still growing; `pump`, once a tick and whenever audio
arrives, sends as much as the line lets ahead (`Line.lead_ms`). `pause` clears the carrier's buffer
at once and remembers the place; `resume` goes on from the last whole word; `stop` forgets the
rest. While the line is on `hold` nothing is sent; `release` goes on from the clause that was cut.
What was heard is read from the line's own position, never from what was sent.
"""

from __future__ import annotations

from collections.abc import Callable

from chorus.talk.leg import PIECE_MS, Mouth
from chorus.talk.utterance import HeardText, Utterance


class Speaking:
    """The agent's utterances, one after the other, on a `Mouth`. `now` is the call's clock in
    milliseconds. `on_first_sent(ahead_ms)` is called when the first audio of an utterance was
    handed to the line, which has so much to play before it; `on_done` when all was heard."""

    def __init__(
        self,
        mouth: Mouth,
        *,
        on_first_sent: Callable[[float], None],
        on_done: Callable[[Utterance], None],
    ) -> None:
        self._mouth = mouth
        self._line = mouth.line
        self._on_first_sent = on_first_sent
        self._on_done = on_done
        self._utterance: Utterance | None = None
        self._paused = False
        self._held = False
        self._begun = False
        self._cursor = 0
        # Where stretches of the utterance lie on the line: (line position, utterance position),
        # a new one wherever background alone was sent in between or playing was resumed.
        self._spans: list[tuple[float, float]] = []
        self._span_end = 0.0

    @property
    def utterance(self) -> Utterance | None:
        return self._utterance

    @property
    def paused(self) -> bool:
        return self._paused or self._held

    @property
    def held(self) -> bool:
        return self._held

    def play(self, utterance: Utterance, now: float) -> None:
        """Begin a new utterance; the one before must have ended or been stopped."""
        self._utterance = utterance
        self._paused = self._begun = False
        self._cursor = 0
        self._spans.clear()
        self.pump(now)

    def pump(self, now: float) -> None:
        """Send what may be sent; notice when everything was heard."""
        utterance = self._utterance
        if self._held:
            return
        if utterance is None or self._paused:
            if self._mouth.background is not None:
                self._mouth.fill(now)
            return
        line = self._line
        waiting = len(utterance.audio) - self._cursor
        if waiting:
            room_ms = line.lead_ms - line.ahead_ms
            if room_ms >= PIECE_MS or (utterance.finished and room_ms * 2 >= PIECE_MS):
                size = min(waiting, line.format.size(room_ms))
                self._send_speech(bytes(utterance.audio[self._cursor : self._cursor + size]), now)
        elif utterance.finished and self.position_ms >= utterance.length_ms - 0.5:
            self._utterance = None
            self._on_done(utterance)
        elif self._mouth.background is not None:
            self._mouth.fill(now)

    @property
    def position_ms(self) -> float:
        """How much of the utterance has been heard, in its own milliseconds."""
        heard = self._line.heard_ms
        for index in range(len(self._spans) - 1, -1, -1):
            line_at, utterance_at = self._spans[index]
            if heard >= line_at:
                end = (
                    self._spans[index + 1][1]
                    if index + 1 < len(self._spans)
                    else self._line.format.ms(self._cursor)
                )
                return min(utterance_at + heard - line_at, end)
        return self._spans[0][1] if self._spans else 0.0

    def heard(self, ahead_ms: float = 0.0) -> HeardText:
        """What the caller has heard of the utterance so far, or will have `ahead_ms` later."""
        if self._utterance is None:
            return HeardText("", "", 0.0, estimated=False)
        return self._utterance.split(self.position_ms + ahead_ms)

    def pause(self, now: float) -> None:
        """Silence at once. The place is kept."""
        if self._utterance is None or self._paused:
            return
        self._paused = True
        self._clear(now)

    def resume(self, now: float) -> None:
        """Go on with the first word that was not heard whole."""
        if self._utterance is None or not self._paused:
            return
        self._paused = False
        if not self._held:
            self._go_on(self._utterance.split(self.position_ms).resume_ms, now)

    def hold(self, now: float) -> None:
        """Silence at once, whatever is to be said; the places are kept."""
        if not self._held:
            self._held = True
            self._clear(now)

    def release(self, now: float) -> None:
        """Go on with the clause that was not heard whole: later, half of one says nothing."""
        if not self._held:
            return
        self._held = False
        utterance = self._utterance
        if utterance is not None and not self._paused:
            resume_ms = utterance.split(self.position_ms).resume_ms
            begins = [c.start_ms for c in utterance.clauses if c.sounding]
            self._go_on(max((at for at in begins if at <= resume_ms), default=0.0), now)

    def _go_on(self, resume_ms: float, now: float) -> None:
        self._cursor = self._line.format.size(resume_ms)
        self._spans = [(self._line.sent_ms, resume_ms)]
        self._span_end = self._line.sent_ms
        self.pump(now)

    def stop(self, now: float) -> float:
        """Forget the rest; returns how many milliseconds of it were heard."""
        position_ms = self.position_ms
        if self._utterance is not None:
            if not self._paused:
                self._clear(now)
            self._utterance = None
        self._paused = False
        return position_ms

    def _clear(self, now: float) -> None:
        position = self.position_ms
        self._mouth.clear(now)
        # What was sent and not heard is gone: the utterance stands at what was heard.
        self._cursor = self._line.format.size(position)
        self._spans = [(self._line.heard_ms, position)]
        self._span_end = self._line.sent_ms

    def _send_speech(self, audio: bytes, now: float) -> None:
        line = self._line
        sent_before, ahead_ms = line.sent_ms, line.ahead_ms
        if not self._spans or abs(sent_before - self._span_end) > 0.5:
            self._spans.append((sent_before, line.format.ms(self._cursor)))
        self._cursor += len(audio)
        self._mouth.send(audio, now)
        self._span_end = line.sent_ms
        if not self._begun:
            self._begun = True
            self._on_first_sent(ahead_ms)
