"""A statement on SQLite is one trip to its thread, and tells all that it told before."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateTable

from chorus.db import Database
from chorus.settings import Settings

_things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    database = Database(Settings.read({"CHORUS_DATABASE_URL": f"sqlite:///{tmp_path / 'hops.db'}"}))
    async with database.writing() as session:
        await session.execute(CreateTable(_things))
        await session.execute(sa.insert(_things), [{"name": "one"}, {"name": "two"}])
    yield database
    await database.close()


@pytest.fixture
def trips(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each trip to the connection's thread was for, from here on."""
    made: list[str] = []
    execute: Any = aiosqlite.Connection._execute  # type: ignore[reportPrivateUsage]  is counted

    async def counted(self: aiosqlite.Connection, does: Any, *given: Any, **named: Any) -> Any:
        made.append(f"{does.__name__} {given[2:3]}")
        return await execute(self, does, *given, **named)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    return made


async def test_a_statement_is_one_trip(database: Database, trips: list[str]) -> None:
    async with database.reading() as session:
        names = (await session.scalars(sa.select(_things.c.name).order_by("id"))).all()
        assert await session.scalar(sa.select(sa.func.count()).select_from(_things)) == 2
    assert list(names) == ["one", "two"]
    assert len(trips) == 4, trips  # BEGIN, the two statements, ROLLBACK


async def test_what_is_committed_is_not_rolled_back(database: Database, trips: list[str]) -> None:
    async with database.writing() as session:
        await session.execute(sa.insert(_things).values(name="three"))
    assert len(trips) == 3, trips  # BEGIN, the statement, COMMIT
    # The connection's next transaction is rolled back all the same where it has to be.
    twice = sa.insert(_things), [{"name": "four"}, {"name": "three"}]
    with pytest.raises(IntegrityError):
        async with database.writing() as session:
            await session.execute(*twice)
    async with database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(_things)) == 3


async def test_changes_tell_how_many_rows_and_which(database: Database) -> None:
    async with database.writing() as session:
        made: Any = await session.execute(sa.insert(_things).values(name="three"))
        assert made.inserted_primary_key == (3,)
        returned = await session.execute(
            sa.insert(_things).returning(_things.c.id), [{"name": "four"}, {"name": "five"}]
        )
        assert sorted(returned.scalars()) == [4, 5]
        changed: Any = await session.execute(
            sa.update(_things).where(_things.c.id > 2).values(name=_things.c.name + "!")
        )
        assert changed.rowcount == 3
        none: Any = await session.execute(sa.delete(_things).where(_things.c.id > 9))
        assert none.rowcount == 0


async def test_what_sqlite_refuses_is_told_and_the_connection_goes_on(database: Database) -> None:
    for statement, kind in (
        (sa.insert(_things).values(name="one"), IntegrityError),
        (sa.text("SELECT nothing FROM nowhere"), OperationalError),
    ):
        with pytest.raises(kind):
            async with database.writing() as session:
                await session.execute(statement)
    async with database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(_things)) == 2


async def test_who_stops_waiting_leaves_the_pool_whole(database: Database) -> None:
    long = sa.text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) "
        "SELECT count(*) FROM n"
    )

    async def asks() -> None:
        async with database.reading() as session:
            await session.scalar(long)

    waiting = [asyncio.create_task(asks()) for _ in range(3)]
    while database.engine.pool.checkedout() < 3:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended)
    async with database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(_things)) == 2


async def test_rows_can_be_streamed(database: Database) -> None:
    async with database.reading() as session:
        rows = await session.stream_scalars(sa.select(_things.c.name).order_by("id"))
        assert [name async for name in rows] == ["one", "two"]
