"""How long something has stood still, for those who must not trust a clock on the wall.

A process that lives counts its beat up; whoever wants to know whether it lives looks now and
then, and measures with a clock of its own how long the number has not moved. A date that is set
back or forward changes nothing, on either side.

Time in which nobody looked does not count: an observer that was stopped, or that could not reach
the database, has learned nothing about the others meanwhile. So between two looks at most
`longest_gap_s` is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Seen:
    value: object
    still_s: float


class Stillness(Generic[K]):
    """What has not changed, and for how long, over the looks of one observer."""

    def __init__(
        self, longest_gap_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest_gap_s = longest_gap_s
        self._monotonic = monotonic
        self._seen: dict[K, _Seen] = {}
        self._looked_at: float | None = None

    def look(self, values: Mapping[K, object]) -> dict[K, float]:
        """Seconds for which each value is known to have been what it is. Keys that are gone are
        forgotten."""
        now = self._monotonic()
        since_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        counted_s = min(since_s, self._longest_gap_s)
        seen: dict[K, _Seen] = {}
        for key, value in values.items():
            before = self._seen.get(key)
            if before is not None and before.value == value:
                seen[key] = _Seen(value, before.still_s + counted_s)
            else:
                seen[key] = _Seen(value, 0.0)
        self._seen = seen
        return {key: found.still_s for key, found in seen.items()}
