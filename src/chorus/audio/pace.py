"""The beat of everything that plays: one timer for all calls of a process.

A timer or a task per call would wake the loop thousands of times a second. Here one timer
walks round a wheel of slots (four slots 5 ms apart make one interval of 20 ms) and calls
whoever is in the slot, so that a hundred calls do not all fire at once. Deadlines are
counted from the start of the ticker, never from the last tick, so they do not drift.

After a stall, slots that are late by less than an interval are run late, one per pass of
the loop so that sockets get their turn in between; beyond that ticks are lost for good and
the wheel goes on from now. Nobody is called twice to make up: a callback is told the true
time and sends what has become due. How late ticks are is the loop's lag, measured here; so it is
while nobody plays (`Beat`), a few times a second.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

log = logging.getLogger(__name__)

# A callback that fails fails fifty times a second; this many failures are one line of log.
_LOG_EVERY = 500


class Ticket:
    """One registration; `remove` may be called at any time, any number of times."""

    __slots__ = ("_callback", "_failures", "_on_error", "_slot")

    def __init__(
        self,
        callback: Callable[[float], None],
        on_error: Callable[[Exception], None] | None,
        slot: dict[Ticket, None],
    ) -> None:
        self._callback = callback
        self._on_error = on_error
        self._slot: dict[Ticket, None] | None = slot
        self._failures = 0
        slot[self] = None

    @property
    def active(self) -> bool:
        return self._slot is not None

    def remove(self) -> None:
        """Never called again, not even later in the tick that is running."""
        if self._slot is not None:
            del self._slot[self]
            self._slot = None

    def _call(self, now: float) -> None:
        try:
            self._callback(now)
        except Exception as error:
            self._failures += 1
            if self._failures % _LOG_EVERY == 1:
                log.exception("tick failed (%d so far): %r", self._failures, self._callback)
            if self._on_error is not None:
                try:
                    self._on_error(error)
                except Exception:
                    log.exception("on_error of a failed tick failed: %r", self._on_error)


class Ticker:
    """Calls every callback once per `interval_ms` with `loop.time()`. Not thread-safe: it
    belongs to one event loop. Callbacks must not block. `ValueError` for values below one."""

    def __init__(self, interval_ms: float = 20, slots: int = 4) -> None:
        if interval_ms <= 0 or slots < 1:
            raise ValueError(f"interval_ms {interval_ms} and slots {slots} must be positive")
        self.lag = Lag()
        self._slots: tuple[dict[Ticket, None], ...] = tuple({} for _ in range(slots))
        self._step_s = interval_ms / 1000 / slots
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._start_s = 0.0
        self._tick = 0  # number of the slot tick that the timer is set for

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def start(self) -> None:
        """Begin, on the running loop; whoever was added before is called from now on."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time()
        self._tick = 0
        if len(self):
            self._set_timer(self._loop, 1)

    def stop(self) -> None:
        """Call nobody any more. Registrations stay, for another `start`."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def add(
        self,
        callback: Callable[[float], None],
        on_error: Callable[[Exception], None] | None = None,
    ) -> Ticket:
        """Call `callback` from the next tick on, in the slot that has the fewest. What it raises
        is logged and given to `on_error`; it stays registered until it is removed."""
        slot = min(range(len(self._slots)), key=lambda n: len(self._slots[n]))
        ticket = Ticket(callback, on_error, self._slots[slot])
        if self._loop is not None:
            following = int((self._loop.time() - self._start_s) / self._step_s) + 1
            own = following + (slot - following) % len(self._slots)
            if self._timer is None or own < self._tick:
                self._set_timer(self._loop, own)
        return ticket

    def remove(self, ticket: Ticket) -> None:
        ticket.remove()

    def _set_timer(self, loop: asyncio.AbstractEventLoop, earliest: int) -> None:
        """Set it for the first slot from `earliest` on that has anybody in it."""
        if self._timer is not None:
            self._timer.cancel()
        count = len(self._slots)
        for tick in range(earliest, earliest + count):
            if self._slots[tick % count]:
                self._tick = tick
                self._timer = loop.call_at(self._start_s + tick * self._step_s, self._fire)
                return
        self._timer = None

    def _fire(self) -> None:
        loop = self._loop
        assert loop is not None  # stop() cancels the timer
        count = len(self._slots)
        fired, now = self._tick, loop.time()
        late_s = now - (self._start_s + fired * self._step_s)
        self.lag.record(late_s * 1000)
        following = fired + 1
        if late_s >= count * self._step_s:
            following = int((now - self._start_s) / self._step_s) + 1
        # Set before anybody is called: callbacks may add, remove and stop.
        self._set_timer(loop, following)
        for ticket in tuple(self._slots[fired % count]):
            if ticket.active:
                ticket._call(loop.time())  # pyright: ignore[reportPrivateUsage] - one module
            if self._loop is None:
                return


class Beat:
    """Measures the loop's lag, also while nothing ticks: one timer in `EVERY_S`, calling nobody. A
    ticker without calls sets none, and a process that holds no calls has nothing else that would
    show that its loop is blocked."""

    EVERY_S = 0.25

    def __init__(self, lag: Lag) -> None:
        self._lag = lag
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        if self._timer is None:
            self._set(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = loop.time() + self.EVERY_S
        self._timer = loop.call_at(due_s, self._fire, loop, due_s)

    def _fire(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._lag.record((loop.time() - due_s) * 1000)
        self._set(loop)


class Lag:
    """How late ticks were, in milliseconds: `max_ms` since ever, and a histogram of which
    `buckets` counts since ever (for a metrics export) and `p99_ms` the recent ones only.
    A ticker measures while somebody is registered, a `Beat` always; uvloop's timers count in whole
    milliseconds."""

    BOUNDS_MS = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 250.0, 1000.0)
    # Recent counts are halved after so many: a minute at one busy slot, 15 s at four, and
    # twelve minutes of nothing but beats.
    _HALVE_AFTER = 3000

    def __init__(self) -> None:
        self.count = 0
        self.sum_ms = 0.0
        self.max_ms = 0.0
        self._counts = [0] * (len(self.BOUNDS_MS) + 1)
        self._recent = [0.0] * (len(self.BOUNDS_MS) + 1)
        self._until_halving = self._HALVE_AFTER

    def record(self, late_ms: float) -> None:
        late_ms = max(late_ms, 0.0)
        self.count += 1
        self.sum_ms += late_ms
        self.max_ms = max(self.max_ms, late_ms)
        bucket = bisect_left(self.BOUNDS_MS, late_ms)
        self._counts[bucket] += 1
        self._recent[bucket] += 1
        self._until_halving -= 1
        if self._until_halving == 0:
            self._until_halving = self._HALVE_AFTER
            self._recent = [n / 2 for n in self._recent]

    @property
    def buckets(self) -> list[tuple[float, int]]:
        """(upper bound in ms, how many were at most that), cumulative; the last is infinite."""
        return list(zip((*self.BOUNDS_MS, float("inf")), accumulate(self._counts), strict=True))

    @property
    def p99_ms(self) -> float:
        """99 of 100 recent ticks were at most this late: the bound of their bucket, at most
        `max_ms`; 0 if there were none."""
        rank = 0.99 * sum(self._recent)
        for bound, below in zip(self.BOUNDS_MS, accumulate(self._recent), strict=False):
            if below >= rank:
                return min(bound, self.max_ms)
        return self.max_ms
