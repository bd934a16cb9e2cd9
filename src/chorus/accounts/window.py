"""A sliding minute: what was asked in the minute of the clock before counts by the share of it that
is within the last sixty seconds."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_S = 60


@dataclass(slots=True)
class Count:
    """Requests in a minute of the clock, and in the one before."""

    minute: int
    now: int = 0
    before: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.now and not self.before

    def move_to(self, minute: int) -> None:
        if minute != self.minute:
            self.before = self.now if minute == self.minute + 1 else 0
            self.now = 0
            self.minute = minute

    def weighed(self, past_s: float) -> float:
        """What counts when `past_s` of this minute are over."""
        return self.now + self.before * (1 - past_s / WINDOW_S)

    def until_one_fits(self, limit: int, past_s: float) -> float:
        """Seconds until the window holds at most `limit - 1`, if nothing is sent until then."""
        room = limit - 1
        if self.weighed(past_s) <= room:
            return 0.0
        if self.now <= room:
            # Enough of the minute before slides out while this one lasts.
            return WINDOW_S * (1 - (room - self.now) / self.before) - past_s
        return WINDOW_S - past_s + WINDOW_S * (1 - room / self.now)
