"""The carrier's clock: every call is ticked once in 20 ms, on its own place in the grid."""

from __future__ import annotations

import asyncio

from bench.carrier import FRAME_MS, Call, now_s
from bench.tally import Tally


class Grid:
    """Absolute times: a tick that comes late does not make the next one late. `lag_s` holds how
    late they came while the tally was measuring."""

    def __init__(self, tally: Tally) -> None:
        self.lag_s: list[float] = []
        self._tally = tally
        self._slots: list[list[Call]] = [[] for _ in range(FRAME_MS)]
        self._added = 0

    def add(self, call: Call) -> None:
        # 7 and 20 have no common divisor: neighbours in time are far apart on the grid.
        self._slots[self._added * 7 % FRAME_MS].append(call)
        self._added += 1

    async def run(self) -> None:
        start, k = now_s(), 0
        while True:
            k += 1
            due = start + k / 1000
            ahead = due - now_s()
            if ahead > 0:
                await asyncio.sleep(ahead)
            elif k % 5 == 0:
                await asyncio.sleep(0)
            slot = self._slots[k % FRAME_MS]
            if not slot:
                continue
            now = now_s()
            if self._tally.measuring:
                self.lag_s.append(now - due)
            for call in slot:
                call.tick(now)
            if any(call.closed for call in slot):
                slot[:] = [call for call in slot if not call.closed]
