"""Where a browser is in what it was sent, by its own reports.

A page counts the samples that it has given to the sound card, and says so every 50 ms, and at once
when it begins to play or runs dry. So, unlike with a telephone carrier (`lines/playhead.py`),
nothing is taken as heard because of the time that has passed since it was sent:

1. `sent` moves the end.
2. `reported` sets the position. Until the next report it moves with time if the page was playing
   then, for `BETWEEN_REPORTS_MS` at the most: a page that has fallen silent plays nothing.
3. `clear` makes the position the end. Reports of an older `epoch` say nothing any more.

What counts is what will have been played when a message that is sent now arrives, because that is
what a `clear` leaves. So the time there and back, as the page has measured it, is added while it
plays. A position never runs back, and is never past what was sent.

Pure arithmetic on `now_s`, all positions in milliseconds.
"""

from __future__ import annotations

BETWEEN_REPORTS_MS = 250.0
UNDER_WAY_MS = 1000.0
"""What may be on its way there and its report back; beyond that the page is behind, and is sent
no more until it has played."""
MOST_ROUND_TRIP_MS = 500.0


class Position:
    """`sent_ms` and `heard_ms` count from the start of the line, reports from the last `clear`."""

    def __init__(self) -> None:
        self.epoch = 0
        self._base_ms = 0.0
        self._floor_ms = 0.0
        # Of this epoch: sent; played by the last report, when that came, and whether it played on.
        self._since_ms = 0.0
        self._played_ms = 0.0
        self._at_s = 0.0
        self._plays = False
        self._round_trip_ms = 0.0
        # By the clock, `_due_ms` of this epoch was due to be played at `_due_s`.
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
        not_due_ms = self._since_ms - self._due_by(now_s)
        unplayed_ms = self._since_ms - self._estimate_ms(now_s)
        return max(not_due_ms, unplayed_ms - UNDER_WAY_MS)

    def sent(self, ms: float, now_s: float) -> None:
        """`ms` more were handed over."""
        if self._due_by(now_s) >= self._since_ms:
            self._due_ms, self._due_s = self._since_ms, now_s
        self._since_ms += ms

    def reported(
        self, epoch: int, played_ms: float, plays: bool, round_trip_ms: float, now_s: float
    ) -> None:
        """The page says that it has played so much since the last `clear`. A position that was
        never sent is ignored."""
        if epoch != self.epoch or not self._played_ms <= played_ms <= self._since_ms + 1:
            return
        self.heard_ms(now_s)
        self._played_ms, self._at_s, self._plays = played_ms, now_s, plays
        self._round_trip_ms = min(max(round_trip_ms, 0.0), MOST_ROUND_TRIP_MS)
        if played_ms > self._due_by(now_s):
            self._due_ms, self._due_s = min(played_ms, self._since_ms), now_s

    def lost(self, now_s: float) -> None:
        """Nothing more is heard of the page: it plays nothing until it says so."""
        self.heard_ms(now_s)
        self._plays = False

    def clear(self, now_s: float) -> None:
        """What was not heard by now never will be."""
        self._base_ms = self.heard_ms(now_s)
        self._since_ms = self._played_ms = self._due_ms = 0.0
        self._plays = False
        self._due_s = now_s
        self.epoch += 1

    def _due_by(self, now_s: float) -> float:
        passed_ms = max(now_s - self._due_s, 0.0) * 1000
        return min(self._due_ms + passed_ms, self._since_ms)

    def _estimate_ms(self, now_s: float) -> float:
        if not self._plays:
            return min(self._played_ms, self._since_ms)
        passed_ms = min(max(now_s - self._at_s, 0.0) * 1000, BETWEEN_REPORTS_MS)
        return min(self._played_ms + passed_ms + self._round_trip_ms, self._since_ms)
