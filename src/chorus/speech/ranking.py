"""Which of several engines to use, for those that stand in for one another.

`Rests` belongs to the process: an engine that failed rests for half a minute, in which all calls
prefer others. A `Ranking` belongs to a call: its engines, best first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

E = TypeVar("E")

REST_S = 30.0


class Rests:
    """Until when each engine that failed rests. Engines are told apart by identity: they live as
    long as the process."""

    def __init__(self) -> None:
        self._until: dict[int, tuple[object, float]] = {}

    def failed(self, engine: object, failure: Exception) -> None:
        log.warning("%s", failure)
        self._until[id(engine)] = (engine, asyncio.get_running_loop().time() + REST_S)

    def until_s(self, engine: object) -> float:
        """By the loop's clock; 0 for one that does not rest."""
        found = self._until.get(id(engine))
        return found[1] if found and found[1] > asyncio.get_running_loop().time() else 0.0


class Ranking(Generic[E]):
    """Engines of one kind, best first; never empty. `rests` is the process's."""

    def __init__(self, engines: Sequence[E], rests: Rests) -> None:
        if not engines:
            raise ValueError("engines must hold at least one engine")
        self.engines = tuple(engines)
        self._rests = rests

    def order(self) -> list[E]:
        """Best first; those that rest come last, the one that failed longest ago before others."""
        return sorted(self.engines, key=self._rests.until_s)

    def has_other(self, engine: E) -> bool:
        """Whether there is one beside `engine` that does not rest."""
        return any(e is not engine and not self._rests.until_s(e) for e in self.engines)

    def failed(self, engine: E, failure: Exception) -> None:
        self._rests.failed(engine, failure)
