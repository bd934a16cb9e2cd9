"""Which of several engines to use, for those that stand in for one another.

`Rests` belongs to the process: it is the circuit breaker of its engines. One that failed rests for
half a minute, in which all calls prefer others; where its vendor says that the key or the money is
the reason, for four. After that one call tries it, while the others wait a moment longer to see
what comes of it: if it fails again it rests twice as long, up to four minutes, else it is as good
as before. A `Ranking` belongs to a call: its engines, best first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from chorus.speech.waits import Waits

log = logging.getLogger(__name__)

E = TypeVar("E")

REST_S = 30.0
MOST_REST_S = 240.0
TRIAL_S = 10.0
"""Longer than any engine may take to fail."""
FULL_S = 10.0
"""For the one call that found no place at a vendor; others have what they have."""


@dataclass(slots=True)
class _Broken:
    """`by` is the call that tries the engine after its rest, until `until_s` at the latest. It is
    kept with the engine, so that neither identity is given to another object."""

    engine: object
    until_s: float
    failures: int = 1
    by: object | None = None


class Rests:
    """Engines are told apart by identity. `asker` is whichever call wants to know."""

    def __init__(self) -> None:
        self._broken: dict[int, _Broken] = {}
        self.waits = Waits()

    def failed(self, engine: object, failure: Exception) -> None:
        log.warning("%s", failure)
        now_s = asyncio.get_running_loop().time()
        before = self._broken.get(id(engine))
        # Several calls that fail together are one failure; one in a trial is the next.
        failures = 1 if before is None else before.failures + (before.by is not None)
        lasting = getattr(failure, "kind", "other") in ("key", "credit")
        rest_s = MOST_REST_S if lasting else min(REST_S * 2 ** (failures - 1), MOST_REST_S)
        self._broken[id(engine)] = _Broken(engine, now_s + rest_s, failures)

    def until_s(self, engine: object, asker: object = None) -> float:
        """By the loop's clock; 0 for one that does not rest, or that `asker` may try."""
        found = self._broken.get(id(engine))
        if found is None:
            return 0.0
        if found.until_s <= asyncio.get_running_loop().time():
            if found.by is not None:
                del self._broken[id(engine)]  # it was tried and did not fail
            return 0.0
        return 0.0 if found.by is not None and found.by is asker else found.until_s

    def tries(self, engine: object, asker: object) -> None:
        """`asker` is about to use an engine; if its rest is over, the others wait for that."""
        found = self._broken.get(id(engine))
        now_s = asyncio.get_running_loop().time()
        if found is not None and found.by is None and found.until_s <= now_s:
            found.by, found.until_s = asker, now_s + TRIAL_S


class Ranking(Generic[E]):
    """Engines of one kind, best first; never empty. `rests` is the process's."""

    def __init__(self, engines: Sequence[E], rests: Rests) -> None:
        if not engines:
            raise ValueError("engines must hold at least one engine")
        self.engines = tuple(engines)
        self._rests = rests
        self._full_until_s: dict[int, float] = {}

    def order(self) -> list[E]:
        """Best first; those that rest come last, the one that failed longest ago before others."""
        order = sorted(self.engines, key=self._until_s)
        self._rests.tries(order[0], self)
        return order

    def has_other(self, engine: E) -> bool:
        """Whether there is one beside `engine` that does not rest."""
        return any(e is not engine and not self._until_s(e) for e in self.engines)

    def rests_now(self, engine: E) -> bool:
        return self._until_s(engine) > 0

    @property
    def waits(self) -> Waits:
        """How long engines usually take; the process's, too."""
        return self._rests.waits

    def failed(self, engine: E, failure: Exception) -> None:
        if getattr(failure, "kind", "other") == "full":
            now_s = asyncio.get_running_loop().time()
            self._full_until_s[id(engine)] = now_s + FULL_S
        else:
            self._rests.failed(engine, failure)

    def _until_s(self, engine: E) -> float:
        full_s = self._full_until_s.get(id(engine), 0.0)
        if full_s and full_s <= asyncio.get_running_loop().time():
            del self._full_until_s[id(engine)]
            full_s = 0.0
        return max(full_s, self._rests.until_s(engine, self))
