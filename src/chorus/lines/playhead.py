"""Where the far end is in what it was sent, when the carrier buffers and plays.

Pure arithmetic on `now_s`, for carriers that acknowledge positions ("marks"):

1. `sent` moves the end. If everything before was heard, playing starts anew at this moment.
2. Between acknowledgements the position moves with time, never past what was sent. A carrier
   that never acknowledges is thereby estimated from the moment of sending.
3. `acknowledged` corrects it. Upwards at once; downwards (the carrier started late, or ran
   dry) by waiting, because a position that was reported is never taken back.
4. `clear` makes the position the end. What the carrier still acknowledges from before belongs
   to an older `epoch` and says nothing about what was heard.

How much may be sent is another question than what was heard: an acknowledgement says what was
played some hundred milliseconds ago, and a far end that got the next piece only then would be
silent for as long. `ahead_ms` therefore goes by the clock, which keeps the carrier's buffer as
full as it is meant to be however far away the carrier is. Acknowledgements only bound it: upwards
where the carrier has played more than was due, and downwards where it is far behind, because a
network stood still: what has piled up is played before more is sent.
"""

from __future__ import annotations

UNDER_WAY_MS = 1000.0
"""What may be on its way there and its acknowledgement back, at the most."""


class Playhead:
    """`sent_ms` and `heard_ms` count from the start of the line. Acknowledgements count from
    the last `clear`, in the same sums as were given to `sent`, so that they compare exactly."""

    __slots__ = (
        "_acked_ms",
        "_at_ms",
        "_at_s",
        "_base_ms",
        "_due_ms",
        "_due_s",
        "_floor_ms",
        "_since_ms",
        "epoch",
    )

    def __init__(self) -> None:
        self.epoch = 0
        # Where the epoch began, what was sent and what was acknowledged since.
        self._base_ms = 0.0
        self._since_ms = 0.0
        self._acked_ms = 0.0
        # The newest thing known: `_at_ms` of the epoch was being heard at `_at_s`.
        self._at_ms = 0.0
        self._at_s = 0.0
        self._floor_ms = 0.0
        # `_due_ms` of the epoch was due to be played at `_due_s`.
        self._due_ms = 0.0
        self._due_s = 0.0

    @property
    def sent_ms(self) -> float:
        return self._base_ms + self._since_ms

    def heard_ms(self, now_s: float) -> float:
        self._floor_ms = max(self._floor_ms, self._base_ms + self._estimate_ms(now_s))
        return self._floor_ms

    def ahead_ms(self, now_s: float) -> float:
        """How much of what was sent is not due to be played yet."""
        not_due_ms = self._since_ms - self._played_by(now_s)
        unheard_ms = self._since_ms - self._estimate_ms(now_s)
        return max(not_due_ms, unheard_ms - UNDER_WAY_MS)

    def sent(self, ms: float, now_s: float) -> None:
        """`ms` more were handed over."""
        self.heard_ms(now_s)
        if self._played_by(now_s) >= self._since_ms:
            self._due_ms, self._due_s = self._since_ms, now_s
        if self._estimate_ms(now_s) >= self._since_ms:
            self._at_ms, self._at_s = self._since_ms, now_s
        self._since_ms += ms

    def acknowledged(self, epoch: int, since_clear_ms: float, now_s: float) -> None:
        """The carrier says that all up to here was played. A position that was never sent, or
        that came too late to mean anything, is ignored."""
        if epoch == self.epoch and self._acked_ms < since_clear_ms <= self._since_ms:
            self.heard_ms(now_s)
            self._acked_ms = self._at_ms = since_clear_ms
            self._at_s = now_s
            if since_clear_ms > self._played_by(now_s):
                self._due_ms, self._due_s = since_clear_ms, now_s

    def clear(self, now_s: float) -> None:
        """What was not heard by now never will be."""
        self._base_ms = self.heard_ms(now_s)
        self._since_ms = self._acked_ms = self._at_ms = self._due_ms = 0.0
        self._at_s = self._due_s = now_s
        self.epoch += 1

    def _played_by(self, now_s: float) -> float:
        """What a carrier without delay would have played of the epoch."""
        passed_ms = max(now_s - self._due_s, 0.0) * 1000
        return min(self._due_ms + passed_ms, self._since_ms)

    def _estimate_ms(self, now_s: float) -> float:
        passed_ms = max(now_s - self._at_s, 0.0) * 1000
        return min(self._at_ms + passed_ms, self._since_ms)
