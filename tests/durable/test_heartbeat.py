"""Which processes live: judged by a number that moves, whatever the clocks on the walls say."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chorus import clock
from chorus.db import Database
from chorus.durable import heartbeat
from chorus.durable.heartbeat import BEAT_S, DEAD_AFTER_S, Heartbeat
from chorus.durable.tables import Executor

ROUNDS = int(DEAD_AFTER_S / BEAT_S)


class Time:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


async def test_one_that_stops_beating_is_dead(database: Database):
    time = Time()
    one, other = Heartbeat(database, "one", time), Heartbeat(database, "other", time)
    await one.start()
    await other.start()
    for _ in range(ROUNDS * 2):
        time.now += BEAT_S
        assert await one.beat()
        assert await other.beat()
        assert await one.dead() == []
    for _ in range(ROUNDS - 1):
        time.now += BEAT_S
        assert await one.dead() == []
    time.now += BEAT_S
    assert await one.dead() == ["other"]
    await one.bury("other")
    assert await one.dead() == []
    # It lives after all, and learns that it was given up.
    assert await other.beat() is False
    assert await other.beat() is True
    assert await one.dead() == []


async def test_one_that_starts_slowly_is_not_dead(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)
    one = Heartbeat(database, "one")
    await one.start()

    async def beats() -> int:
        async with database.reading() as session:
            return await session.scalar(sa.select(Executor.beat)) or 0

    async with asyncio.timeout(20), one.beating():
        while await beats() < 3:
            await asyncio.sleep(0)
    counted = await beats()
    await asyncio.sleep(0.1)
    assert await beats() == counted, "it beats on, beside whoever beats now"


async def test_others_know_where_one_listens(database: Database):
    time = Time()
    one, other = Heartbeat(database, "one", time), Heartbeat(database, "other", time)
    await one.start()
    await other.start()
    assert await one.peer_address("other") is None
    await other.listens_at("10.0.0.2:8700")
    assert await one.peer_address("other") == "10.0.0.2:8700"
    await one.dead()
    await one.bury("other")
    assert await one.peer_address("other") is None
    # It lives after all, and listens there still.
    assert await other.beat() is False
    assert await one.peer_address("other") == "10.0.0.2:8700"
    await Heartbeat(database, "other", time).start()
    assert await one.peer_address("other") is None


async def test_one_that_moved_meanwhile_is_not_buried(database: Database):
    time = Time()
    one, other = Heartbeat(database, "one", time), Heartbeat(database, "other", time)
    await one.start()
    await other.start()
    for _ in range(ROUNDS + 1):
        found = await one.dead()
        time.now += BEAT_S
    assert found == ["other"]  # pyright: ignore[reportPossiblyUnboundVariable]
    await other.beat()
    await one.bury("other")
    assert await other.beat() is True


async def test_a_wall_clock_that_steps_kills_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    time, real = Time(), clock.SystemClock.utcnow
    steps: list[timedelta] = []
    monkeypatch.setattr(
        clock.SystemClock, "utcnow", lambda self: real(self) + sum(steps, timedelta())
    )
    one, other = Heartbeat(database, "one", time), Heartbeat(database, "other", time)
    await one.start()
    await other.start()
    for step in (timedelta(hours=-1), timedelta(hours=2), timedelta(days=-30)):
        steps.append(step)
        for _ in range(ROUNDS + 2):
            time.now += BEAT_S
            assert await one.beat()
            assert await other.beat()
            assert await one.dead() == []


async def test_a_start_takes_its_own_place_again(database: Database):
    first = Heartbeat(database, "one")
    await first.start()
    await first.beat()
    second = Heartbeat(database, "one")
    await second.start()
    assert await second.beat() is True
    async with database.reading() as session:
        rows = (await session.execute(sa.select(Executor.id, Executor.beat))).all()
    assert rows == [("one", 1)]


async def test_two_of_one_name_are_said_aloud(database: Database, caplog: pytest.LogCaptureFixture):
    first, second = Heartbeat(database, "one"), Heartbeat(database, "one")
    await first.start()
    await second.start()
    with caplog.at_level(logging.CRITICAL):
        assert await first.beat() is False
    assert "another process calls itself one" in caplog.text
    assert await second.beat() is True


async def test_it_leaves_in_order(database: Database):
    one = Heartbeat(database, "one")
    await one.start()
    await one.stop()
    async with database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Executor)) == 0
    # And not in the name of another that has its place now.
    other = Heartbeat(database, "one")
    await other.start()
    await one.stop()
    assert await other.beat() is True
