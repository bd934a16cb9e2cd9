"""Whose packets are the call's: following a peer behind NAT without following a stranger.

The address in the session description is the peer's own word, and often wrong behind NAT. So
packets from another port of the same address, or from the address that signals, are followed too,
after a few of the same source have come (`NEEDED`), and only until the described address speaks
itself. From anywhere else nothing is ever taken: who could send there could otherwise take over a
call by guessing a port.
"""

from __future__ import annotations

NEEDED = 3
"""Packets of one source in a row before it is followed."""
SILENT_S = 2.0
"""A source that was followed may be followed elsewhere only after this silence."""

Place = tuple[str, int]


class Latch:
    """`admits` each packet; `target` is where ours go."""

    __slots__ = ("_candidate", "_count", "_expected", "_heard_s", "_hosts", "_ssrc", "latched",
                 "refused", "target")  # fmt: skip

    def __init__(self) -> None:
        self.target: Place | None = None
        self.latched: Place | None = None
        self.refused = 0
        self._expected: Place | None = None
        self._hosts: frozenset[str] = frozenset()
        self._candidate: Place | None = None
        self._ssrc = 0
        self._count = 0
        self._heard_s = 0.0

    def expect(self, host: str, port: int, signalling: str) -> None:
        """What the session description says, anew with each one. `signalling` is the address that
        the other side's SIP comes from."""
        place = (host, port)
        self._hosts = frozenset({host, signalling})
        if place == self._expected:
            return
        self._expected = self.target = place
        self.latched = self._candidate = None
        self._count = 0

    def knows(self, place: Place) -> bool:
        """Whether the other side may speak from there, sound or something else."""
        return place[0] in self._hosts or place == self.latched

    def admits(self, place: Place, ssrc: int, now_s: float) -> bool:
        if place == self.latched:
            self._heard_s = now_s
            return True
        if place == self._expected:
            self.latched = self.target = place
            self._heard_s = now_s
            return True
        if place[0] not in self._hosts or self._busy(now_s):
            self.refused += 1
            return False
        if place == self._candidate and ssrc == self._ssrc:
            self._count += 1
        else:
            self._candidate, self._ssrc, self._count = place, ssrc, 1
        if self._count < NEEDED:
            return False
        self.latched = self.target = place
        self._heard_s = now_s
        return True

    def _busy(self, now_s: float) -> bool:
        return self.latched is not None and now_s - self._heard_s < SILENT_S
