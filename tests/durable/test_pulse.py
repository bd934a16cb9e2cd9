"""Standing still, measured without a clock on the wall."""

from __future__ import annotations

from chorus.durable.pulse import Stillness


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def looks(clock: Clock, still: Stillness[str], *values: tuple[float, dict[str, object]]):
    found: list[dict[str, float]] = []
    for after_s, value in values:
        clock.now += after_s
        found.append(still.look(value))
    return found


def test_what_moves_is_not_still():
    clock = Clock()
    still: Stillness[str] = Stillness(10, clock)
    found = looks(clock, still, (0, {"a": 1, "b": 1}), (5, {"a": 2, "b": 1}), (5, {"a": 3, "b": 1}))
    assert found == [{"a": 0, "b": 0}, {"a": 0, "b": 5}, {"a": 0, "b": 10}]


def test_a_number_that_goes_back_has_moved_too():
    clock = Clock()
    still: Stillness[str] = Stillness(10, clock)
    assert looks(clock, still, (0, {"a": 9}), (5, {"a": 0}), (5, {"a": 0}))[-1] == {"a": 5}


def test_what_is_gone_begins_anew():
    clock = Clock()
    still: Stillness[str] = Stillness(10, clock)
    assert looks(clock, still, (0, {"a": 1}), (5, {}), (5, {"a": 1}))[-1] == {"a": 0}


def test_an_observer_that_was_away_has_learned_nothing():
    """Stopped for an hour, or without a database: the others may have moved all the time."""
    clock = Clock()
    still: Stillness[str] = Stillness(10, clock)
    assert looks(clock, still, (0, {"a": 1}), (3600, {"a": 1}))[-1] == {"a": 10}
