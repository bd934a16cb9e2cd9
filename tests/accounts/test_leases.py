"""Requests of a minute over several processes on one Postgres: never more than the limit, and by
no more than is said fewer. Two real servers: `tests/soak/test_two_servers.py`."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from tests.conftest import settings_for

from chorus.accounts.leases import LEASE_S, SHARE, Leases, sweep
from chorus.accounts.limits import RateLimits
from chorus.accounts.principal import Principal
from chorus.db import Database
from chorus.settings import Settings

LIMIT = 160
HELD = math.ceil(LIMIT * SHARE)
"""The most that a process keeps from the others."""


class Clock:
    def __init__(self) -> None:
        self.s = 1_000_000_020.0  # of a minute the first second

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def url(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    # A machine that does much else at the time is slow, not away.
    monkeypatch.setattr("chorus.accounts.leases.WITHIN_S", 20.0)
    return Settings.read({"CHORUS_DATABASE_URL": postgres_url}).database_url


@asynccontextmanager
async def processes(
    folder: Path, url: str, clock: Clock, count: int = 2
) -> AsyncGenerator[list[Leases]]:
    async with AsyncExitStack() as stack:
        found: list[Leases] = []
        for _ in range(count):
            database = Database(settings_for(folder, database_url=url))
            stack.push_async_callback(database.close)
            found.append(Leases(database, clock, clock))
        yield found


async def spent(leases: Leases, tries: int, limit: int = LIMIT) -> int:
    count = 0
    for _ in range(tries):
        taken = await leases.take("key:1", limit)
        assert taken is not None
        count += taken[0]
    return count


async def given(leases: Leases) -> int:
    async with leases._database.reading() as session:  # pyright: ignore[reportPrivateUsage]
        return await session.scalar(sa.text("SELECT given FROM rate_counts")) or 0


async def test_many_at_once_spend_the_limit_and_no_more(tmp_path: Path, url: str):
    async with processes(tmp_path, url, Clock(), 4) as all_:
        counts = await asyncio.gather(
            *(spent(each, 10) for each in all_ for _ in range(2 * LIMIT // 40 + 1))
        )
        assert LIMIT - 3 * HELD <= sum(counts) <= LIMIT
        # None is left that nobody has.
        assert await given(all_[0]) == LIMIT


async def test_a_request_costs_no_statement(tmp_path: Path, url: str):
    async with processes(tmp_path, url, Clock(), 1) as [leases]:
        statements: list[str] = []
        engine = leases._database.engine.sync_engine  # pyright: ignore[reportPrivateUsage]

        @event.listens_for(engine, "before_cursor_execute")
        def noted(*given: Any) -> None:  # pyright: ignore[reportUnusedFunction]
            statements.append(given[2])

        assert await spent(leases, 1000, 2000) == 1000
        # What is left shrinks by a sixteenth each time: ln 2 / ln (16/15) leases, of two each.
        assert len(statements) <= 2 * 12
        statements.clear()
        assert await spent(leases, 1500, 2000) == 1000
        told = len(statements)
        assert await spent(leases, 500, 2000) == 0
        assert len(statements) == told, "whoever is refused costs none either"


async def test_the_window_slides_and_what_was_leased_ends_with_its_minute(tmp_path: Path, url: str):
    clock = Clock()
    async with processes(tmp_path, url, clock) as [one, two]:
        assert await spent(one, 1) == 1  # and has nine more
        assert await spent(two, 2 * LIMIT) == LIMIT - HELD
        clock.s += 60
        # The whole minute before still counts, and the nine are not good any more.
        assert await spent(one, 20) == 0
        clock.s += 30
        both = await asyncio.gather(spent(one, LIMIT), spent(two, LIMIT))
        assert LIMIT // 2 - HELD <= sum(both) <= LIMIT // 2
        clock.s += 120
        assert await spent(one, 2 * LIMIT) == LIMIT


async def test_what_one_does_not_send_the_other_may(tmp_path: Path, url: str):
    clock = Clock()
    async with processes(tmp_path, url, clock) as [one, two]:
        assert await spent(one, 1) == 1
        assert await spent(two, 2 * LIMIT) == LIMIT - HELD
        await one.give_back()
        assert await given(two) == LIMIT, "it was used a moment ago"
        clock.s += LEASE_S
        await one.give_back()
        assert await spent(two, HELD) == HELD - 1
        assert await spent(one, 1) == 0


async def test_a_limit_that_is_lowered_counts_at_once(tmp_path: Path, url: str):
    async with processes(tmp_path, url, Clock(), 1) as [leases]:
        assert await spent(leases, 5) == 5
        assert await spent(leases, 20, limit=10) == 5
        assert await spent(leases, 1) == 1


async def test_a_clock_that_was_set_back_refuses_nobody(tmp_path: Path, url: str):
    clock = Clock()
    async with processes(tmp_path, url, clock) as [one, two]:
        assert await spent(one, LIMIT) == LIMIT
        clock.s -= 3600
        assert await spent(two, 1) == 1


async def test_without_the_database_each_counts_alone(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
):
    database = Database(settings_for(tmp_path, database_url=url))
    clock = Clock()
    limits = RateLimits(10, Leases(database, clock, clock))
    key = Principal("key", uuid.uuid4(), "a key", uuid.uuid4(), "admin")
    gone = OperationalError("", None, Exception("gone"))
    with patch.object(database, "writing", side_effect=gone) as asked:
        allowed = [(await limits.take(key, "a")).allowed for _ in range(20)]
        assert asked.call_count == 1
    assert sum(allowed) == 10
    assert caplog.text.count("counted by each process for itself") == 1
    clock.s += 2
    assert (await limits.take(key, "a")).remaining == 9
    await database.close()


async def test_names_that_nobody_asks_for_any_more_are_deleted(tmp_path: Path, url: str):
    async with processes(tmp_path, url, Clock(), 1) as [leases]:
        database = leases._database
        table = sa.table("rate_counts", *map(sa.column, ("name", "minute", "given", "before")))
        minute = sa.text("floor(extract(epoch from clock_timestamp()) / 60)")
        async with database.writing() as session:
            now = int(await session.scalar(sa.select(minute)) or 0)
            rows = [
                {"name": name, "minute": now - ago, "given": 1, "before": 0}
                for name, ago in (("now", 0), ("before", 1), ("old", 3), ("older", 100))
            ]
            await session.execute(sa.insert(table), rows)
        await sweep(database)
        async with database.reading() as session:
            left = {*await session.scalars(sa.select(table.c.name))}
        # A minute may have ended meanwhile.
        assert left - {"before"} == {"now"}
        # And begin at nothing where they are asked for again.
        assert await leases.take("old", LIMIT)
