"""What is usual of an engine, and how often another is asked beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from tests.fakes.virtual import run_virtual

from chorus.speech.racing import Hedge, race
from chorus.speech.ranking import Ranking, Rests
from chorus.speech.waits import LEAST_KNOWN, LEAST_MS, MOST_IN_A_ROW, Waits


def usual(waits: Waits, engine: object) -> float:
    return waits.usual_ms(engine, untried_ms=1500, most_ms=4000)


def test_what_is_usual_is_learnt_and_bounded() -> None:
    waits, engine, other = Waits(), object(), object()
    for _ in range(LEAST_KNOWN - 1):
        waits.took(engine, 600)
    assert usual(waits, engine) == 1500
    waits.took(engine, 600)
    assert usual(waits, engine) == 600
    assert usual(waits, other) == 1500
    for ms in (900, 9000):
        waits.took(engine, ms)
    assert usual(waits, engine) == 4000
    for _ in range(150):
        waits.took(engine, 700)
    assert usual(waits, engine) == 900  # one in a hundred is longer
    for _ in range(200):
        waits.took(engine, 20)
    assert usual(waits, engine) == LEAST_MS


def test_one_request_in_ten_is_doubled_at_the_most() -> None:
    waits, engine = Waits(), object()
    doubled = 0
    for _ in range(200):
        waits.asked(engine)
        doubled += waits.may_ask_beside(engine)
    assert doubled <= 20 + MOST_IN_A_ROW


class Told:
    def __init__(self) -> None:
        self.lost_by: list[str] = []

    def asked(self, engine: str) -> None: ...
    def replaced(self, failure: RuntimeError) -> None: ...
    def hedged(self, engine: str, by: str, waited_ms: float) -> None: ...
    def lost(self, engine: str) -> None:
        self.lost_by.append(engine)


def test_an_engine_that_is_beaten_three_times_in_a_row_rests() -> None:
    took_s = {"a": 60.0, "b": 0.1}

    async def start(engine: str) -> AsyncGenerator[str, None]:
        await asyncio.sleep(took_s[engine])
        yield engine

    async def main() -> list[tuple[str, float]]:
        rests, told, found = Rests(), Told(), list[tuple[str, float]]()
        hedge: Hedge[str] = Hedge(untried_ms=1000, most_ms=lambda _: 4000, beaten=RuntimeError)
        loop = asyncio.get_running_loop()
        for _ in range(4):
            ranking, began_s = Ranking(["a", "b"], rests), loop.time()
            race_of = race(ranking, start, RuntimeError, told, hedge=hedge, begins=lambda _: True)
            async for engine, _ in race_of:
                found.append((engine, round(loop.time() - began_s, 3)))
        assert told.lost_by == ["a"] * 3
        return found

    assert run_virtual(main()) == [("b", 1.1)] * 3 + [("b", 0.1)]


def test_what_was_overtaken_counts_in_what_is_usual() -> None:
    """Without it only the fast answers of an engine that is slow now and then would be known, and
    another would be asked beside it ever sooner."""
    slow_s = {"a": 5.0, "b": 0.1}

    async def start(engine: str) -> AsyncGenerator[str, None]:
        await asyncio.sleep(slow_s[engine])
        yield engine

    async def main() -> float:
        rests = Rests()
        for n in range(60):
            rests.waits.took("a", 500)
            if n % 20 == 10:
                rests.waits.asked("a")
                hedge: Hedge[str] = Hedge(900, lambda _: 4000, RuntimeError)
                ranking = Ranking(["a", "b"], rests)
                asked = race(ranking, start, RuntimeError, Told(), hedge=hedge, begins=bool)
                async for engine, _ in asked:
                    assert engine == "b"
        return usual(rests.waits, "a")

    assert run_virtual(main()) > 600
