"""How long each engine usually takes to begin, so that the next one is asked when it takes longer.

`Waits` belongs to the process. It keeps the last 200 times of each engine, from the question to the
first of the answer, and takes the longest but one in a hundred for what is usual (P99). Asking
another beside it costs a second answer, so that is bounded: one request in ten, five in a row.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from math import ceil

KEPT = 200
LEAST_KNOWN = 20
"""With fewer times the caller's guess counts."""
LEAST_MS = 300.0
SHARE = 0.1
MOST_IN_A_ROW = 5.0
LOST_IN_A_ROW = 3
"""An engine that another beat so often is as good as broken."""
_MOST_ENGINES = 1000


def _times() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class _Known:
    """`engine` is kept so that its identity is not given to another object. `credit`: how often
    another may be asked beside it."""

    engine: object
    times_ms: deque[float] = field(default_factory=_times)
    credit: float = MOST_IN_A_ROW
    lost: int = 0


class Waits:
    """Engines are told apart by identity."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, _Known] = OrderedDict()

    def asked(self, engine: object) -> None:
        """It was given something to answer."""
        known = self._of(engine)
        known.credit = min(MOST_IN_A_ROW, known.credit + SHARE)

    def took(self, engine: object, ms: float) -> None:
        """It began to answer."""
        known = self._of(engine)
        known.times_ms.append(ms)
        known.lost = 0

    def overtaken(self, engine: object, ms: float) -> None:
        """It had not begun after so long, when another answered: it would have taken longer, and
        without that its slow answers would be missing in what is usual of it."""
        self._of(engine).times_ms.append(ms)

    def usual_ms(self, engine: object, *, untried_ms: float, most_ms: float) -> float:
        """How long to wait before another is asked too; `untried_ms` while little is known."""
        times = sorted(self._of(engine).times_ms)
        usual = untried_ms
        if len(times) >= LEAST_KNOWN:
            usual = times[ceil(0.99 * len(times)) - 1]
        return max(LEAST_MS, min(usual, most_ms))

    def may_ask_beside(self, engine: object) -> bool:
        """Whether another may be asked beside it now; that counts as done."""
        known = self._of(engine)
        if known.credit < 1:
            return False
        known.credit -= 1
        return True

    def was_beaten(self, engine: object) -> bool:
        """Another that was asked later has answered first; True if that was once too often."""
        known = self._of(engine)
        known.lost = (known.lost + 1) % LOST_IN_A_ROW
        return known.lost == 0

    def _of(self, engine: object) -> _Known:
        known = self._known.get(id(engine))
        if known is None:
            known = self._known[id(engine)] = _Known(engine)
            if len(self._known) > _MOST_ENGINES:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(id(engine))
        return known
