"""Packets back in order, and how long to wait for one that is missing.

What comes in order is handed on at once: a conversation listens to words, not to a loudspeaker
that must never run dry, so audio that is there need not wait. Only a gap waits: for `patience_ms`,
which grows when a packet turns out to have been late rather than lost, up to 400 ms, and shrinks
again slowly. Then what is missing is given up, and `Ready.lost` says how much.
"""

from __future__ import annotations

from typing import NamedTuple

from chorus.lines.sip.media.rtp import Packet

LEAST_MS = 20.0
FIRST_MS = 60.0
MOST_MS = 400.0
MOST_HELD = 64
"""Packets that wait behind a gap; more than that, and the gap is given up."""
JUMP = 3000
"""A sequence number this far off is another stream (RFC 3550 A.1, MAX_DROPOUT)."""


class Ready(NamedTuple):
    packet: Packet
    lost: int
    """Packets missing before it."""


class Reorder:
    """`put` a packet, `take` what is ready; both return it in order."""

    __slots__ = ("_expected", "_held", "_skipped", "_ssrc", "_waits_since_s", "duplicate",
                 "late", "patience_ms")  # fmt: skip

    def __init__(self) -> None:
        self.patience_ms = FIRST_MS
        self.late = 0
        self.duplicate = 0
        self._ssrc: int | None = None
        self._expected = 0
        self._held: dict[int, Packet] = {}
        self._waits_since_s: float | None = None
        self._skipped: dict[int, float] = {}  # sequence numbers given up, and since when waited

    def put(self, packet: Packet, now_s: float) -> list[Ready]:
        ahead = (packet.sequence - self._expected) & 0xFFFF
        if packet.ssrc != self._ssrc or JUMP < ahead < 0x10000 - JUMP:
            rest = self._flush()
            self._ssrc = packet.ssrc
            self._expected = packet.sequence
            ahead = 0
            self._skipped.clear()
        else:
            rest = []
        if ahead == 0:
            if not self._held:
                self._expected = (packet.sequence + 1) & 0xFFFF
                rest.append(Ready(packet, 0))
                return rest
            self._held[packet.sequence] = packet
            return rest + self._drain(now_s)
        if ahead >= 0x8000:
            self._belated(packet.sequence, now_s)
            return rest
        if packet.sequence in self._held:
            self.duplicate += 1
            return rest
        self._held[packet.sequence] = packet
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        return rest + (self.take(now_s, force=True) if len(self._held) > MOST_HELD else [])

    def take(self, now_s: float, *, force: bool = False) -> list[Ready]:
        """Give up what has been missing for too long."""
        since_s = self._waits_since_s
        if since_s is None or (not force and (now_s - since_s) * 1000 < self.patience_ms):
            return []
        ahead = min((sequence - self._expected) & 0xFFFF for sequence in self._held)
        for number in range(min(ahead, 100)):
            self._skipped[(self._expected + number) & 0xFFFF] = since_s
        while len(self._skipped) > 200:
            del self._skipped[next(iter(self._skipped))]
        self._expected = (self._expected + ahead) & 0xFFFF
        self.patience_ms = max(self.patience_ms * 0.98, LEAST_MS)
        return self._drain(now_s, ahead)

    @property
    def waiting(self) -> bool:
        return self._waits_since_s is not None

    def _drain(self, now_s: float, lost: int = 0) -> list[Ready]:
        ready: list[Ready] = []
        while (packet := self._held.pop(self._expected, None)) is not None:
            ready.append(Ready(packet, lost))
            lost = 0
            self._expected = (self._expected + 1) & 0xFFFF
        self._waits_since_s = now_s if self._held else None
        return ready

    def _flush(self) -> list[Ready]:
        rest = [
            Ready(self._held[sequence], 0)
            for sequence in sorted(self._held, key=lambda s: (s - self._expected) & 0xFFFF)
        ]
        self._held.clear()
        self._waits_since_s = None
        return rest

    def _belated(self, sequence: int, now_s: float) -> None:
        since_s = self._skipped.pop(sequence, None)
        if since_s is None:
            self.duplicate += 1
            return
        self.late += 1
        needed_ms = (now_s - since_s) * 1000 + LEAST_MS
        self.patience_ms = min(max(self.patience_ms, needed_ms), MOST_MS)
