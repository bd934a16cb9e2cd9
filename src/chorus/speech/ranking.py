"""Which of several engines to try next, for those that stand in for one another.

Best first. One that failed rests for half a minute, in which calls prefer the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from chorus.speech.engines import EngineFailed, Transcriber, Voice

log = logging.getLogger(__name__)

E = TypeVar("E", Transcriber, Voice)

_REST_S = 30.0


class Ranking(Generic[E]):
    """`on_failure` is told of every failure, of whatever call."""

    def __init__(self, engines: Sequence[E], on_failure: Callable[[EngineFailed], None] | None):
        if not engines:
            raise ValueError("engines must hold at least one engine")
        self.engines = tuple(engines)
        self._on_failure = on_failure
        self._resting_until = dict.fromkeys(range(len(engines)), 0.0)

    def order(self) -> list[E]:
        """Best first; those that rest come last."""
        now = asyncio.get_running_loop().time()
        ranks = sorted(
            self._resting_until, key=lambda rank: (self._resting_until[rank] > now, rank)
        )
        return [self.engines[rank] for rank in ranks]

    def failed(self, engine: E, failure: EngineFailed) -> None:
        rank = self.engines.index(engine)
        self._resting_until[rank] = asyncio.get_running_loop().time() + _REST_S
        log.warning("%s", failure)
        if self._on_failure is not None:
            self._on_failure(failure)
