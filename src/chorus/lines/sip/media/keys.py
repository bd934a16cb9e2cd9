"""Keys in the media stream: the events of RFC 4733, both ways.

One press is many packets with one timestamp; the last three say that it ended. A press is told
once, by whichever of its packets comes first. To send, each key is 120 ms on and 100 ms off.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

EVENTS = "0123456789*#ABCD"
ON_MS = 120
OFF_MS = 100
END_PACKETS = 3
_VOLUME = 10
_EVENT = struct.Struct("!BBH")


class KeyReader:
    """`packet` returns the key of a press that was not told yet."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: deque[int] = deque(maxlen=8)

    def packet(self, payload: bytes, timestamp: int) -> str | None:
        if len(payload) < 4:
            return None
        event = payload[0]
        if event >= len(EVENTS) or timestamp in self._told:
            return None
        self._told.append(timestamp)
        return EVENTS[event]


class Step(NamedTuple):
    """One packet: its payload, whether it begins a press, and how far its timestamp lies back."""

    payload: bytes
    marker: bool
    since_ms: int


class KeyWriter:
    """`press` queues keys; `step`, called once a packet time, says what to send in place of
    audio: a `Step`, or `silent` between two keys."""

    __slots__ = ("_clock_hz", "_elapsed_ms", "_ends", "_key", "_pause_ms", "_queue")

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._queue: deque[str] = deque(maxlen=256)
        self._key: str | None = None
        self._elapsed_ms = 0
        self._ends = 0
        self._pause_ms = 0

    def press(self, digits: str) -> None:
        self._queue.extend(digits)

    @property
    def busy(self) -> bool:
        return bool(self._queue) or self._key is not None or self._pause_ms > 0

    def step(self, ptime_ms: int) -> Step | None:
        """None: send audio, or silence while it is `busy`."""
        if self._key is None:
            if self._pause_ms > 0:
                self._pause_ms -= ptime_ms
                return None
            if not self._queue:
                return None
            key = self._queue.popleft()
            if key in "wW":
                self._pause_ms = 500 if key == "w" else 1000
                return None
            self._key = key
            self._elapsed_ms = 0
            self._ends = 0
        begins = self._elapsed_ms == 0
        if self._elapsed_ms < ON_MS:
            self._elapsed_ms += ptime_ms
            since_ms = self._elapsed_ms - ptime_ms
        else:
            since_ms = self._elapsed_ms - ptime_ms + ptime_ms * self._ends
        last = self._elapsed_ms >= ON_MS
        if last:
            self._ends += 1
        duration = self._elapsed_ms * self._clock_hz // 1000
        payload = _EVENT.pack(
            EVENTS.index(self._key), (0x80 if last else 0) | _VOLUME, min(duration, 0xFFFF)
        )
        if self._ends == END_PACKETS:
            self._key = None
            self._pause_ms = OFF_MS
        return Step(payload, begins, since_ms)
