"""Limits for those who are not known yet; without time passing."""

from __future__ import annotations

import pytest

from chorus.lines import strangers
from chorus.lines.strangers import Strangers, TurnedAway


def knock(door: Strangers, address: str, *, genuine: bool = False) -> bool:
    """Whether it was looked at."""
    try:
        with door.look(address):
            pass
    except TurnedAway:
        return False
    if not genuine:
        door.refused(address, "no")
    return True


def test_an_address_is_turned_away_for_the_rest_of_a_minute() -> None:
    now = [1000.0]
    door = Strangers("a test", lambda: now[0])
    assert all(knock(door, "203.0.113.1") for _ in range(strangers.REFUSALS))
    now[0] += 59
    assert not knock(door, "203.0.113.1")
    assert knock(door, "203.0.113.2")
    now[0] += 1
    assert knock(door, "203.0.113.1")


def test_a_whole_household_is_one() -> None:
    door = Strangers("a test", lambda: 0.0)
    for n in range(strangers.REFUSALS):
        assert knock(door, f"2001:db8::{n:x}")
    assert not knock(door, "2001:db8::ffff")
    assert knock(door, "2001:db8:0:1::1")


def test_one_address_does_not_take_all_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "AT_ONCE_OF_ADDRESS", 1)
    door = Strangers("a test", lambda: 0.0)
    with door.look("203.0.113.1"):
        with pytest.raises(TurnedAway) as away, door.look("203.0.113.1"):
            pass
        assert away.value.busy
        assert knock(door, "203.0.113.2", genuine=True)
    assert knock(door, "203.0.113.1", genuine=True)


def test_what_is_remembered_is_bounded() -> None:
    door = Strangers("a test", lambda: 0.0)
    for n in range(strangers.REMEMBERED + 100):
        assert knock(door, f"10.{n // 65536}.{n // 256 % 256}.{n % 256}")
    assert len(door._refused) == strangers.REMEMBERED
    assert not door._looked_at
