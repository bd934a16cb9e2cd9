"""Durable work: there exactly if its fact is, done at once, done again after a crash."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for

from chorus.accounts.tables import Organization
from chorus.db import Database, utcnow
from chorus.durable import durable as durable_module
from chorus.durable import work
from chorus.durable.durable import Durable
from chorus.durable.work import Periodic, Queue, Retries, Workflow, step
from chorus.migrations import run as migrations

pytestmark = pytest.mark.timeout(60)

POLL_S = 0.2
SEVERAL_POLLS_S = 4 * POLL_S


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_module, "POLL_S", POLL_S)


class Log:
    """What every workflow gets as its first argument here."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.gate = asyncio.Event()
        self.at_gate = asyncio.Event()
        """The second step has begun, so the first one's result is committed."""
        self.news = asyncio.Event()
        self.at_once = self.most_at_once = 0

    def note(self, what: Any) -> None:
        self.done.append(what)
        self.news.set()

    async def until(self, true: Callable[[], bool], timeout_s: float = 15) -> None:
        async with asyncio.timeout(timeout_s):
            while not true():
                self.news.clear()
                await self.news.wait()


async def one(log: Log, n: int) -> int:
    log.note(("one", n))
    return n + 1


async def gated(log: Log, n: int) -> None:
    log.at_gate.set()
    await log.gate.wait()
    log.note(("gated", n))


async def two_steps(log: Log, n: int) -> None:
    got = await step(one, log, n)
    await step(gated, log, got)
    log.note("end")


async def flaky(log: Log) -> None:
    log.note("try")
    if len(log.done) < 3:
        raise ValueError("not yet")


async def retried(log: Log) -> None:
    await step(flaky, log, retries=Retries(attempts=5, first_wait_s=0.01))
    log.note("end")


async def crowded(log: Log, n: int) -> None:
    log.at_once += 1
    log.most_at_once = max(log.most_at_once, log.at_once)
    await asyncio.sleep(0.02)
    log.at_once -= 1
    log.note(n)


async def hourly(log: Log) -> None:
    log.note("tick")


WORK = Queue("work", at_once=20)
TWO_STEPS = Workflow("two_steps", two_steps, WORK)
RETRIED = Workflow("retried", retried, WORK)
CROWDED = Workflow("crowded", crowded, Queue("narrow", at_once=3))
ALL = (TWO_STEPS, RETRIED, CROWDED)


@asynccontextmanager
async def working(
    database: Database,
    log: Log,
    name: str = "p",
    periodic: tuple[Periodic, ...] = (),
    workflows: tuple[Workflow, ...] = ALL,
) -> AsyncGenerator[Durable, None]:
    durable = Durable(database.settings)
    await durable.launch(name, log, workflows, periodic)
    try:
        yield durable
    finally:
        await durable.close()


async def enqueue(durable: Durable, database: Database, *args: Any, **options: Any) -> str:
    async with database.writing() as session:
        return await durable.enqueue(session, *args, **options)


async def test_outside_of_a_workflow_a_step_just_calls():
    log = Log()
    log.gate.set()
    await two_steps(log, 1)
    assert log.done == [("one", 1), ("gated", 2), "end"]


async def test_it_is_there_exactly_if_its_fact_is_and_begins_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    # The library's own look comes later than `until` waits: what is done here was told.
    monkeypatch.setattr(durable_module, "POLL_S", 60.0)
    log = Log()
    log.gate.set()
    async with working(database, log) as durable:
        with pytest.raises(RuntimeError, match="no"):  # noqa: PT012  the block is what fails
            async with database.writing() as session:
                session.add(Organization(name="never"))
                await durable.enqueue(session, TWO_STEPS, 100)
                raise RuntimeError("no")
        async with database.writing() as session:
            session.add(Organization(name="yes"))
            await durable.enqueue(session, TWO_STEPS, 1, id="mine")
        await log.until(lambda: "end" in log.done)
        # The same id again is the same work: only what comes after it is done.
        await enqueue(durable, database, TWO_STEPS, 1, id="mine")
        await enqueue(durable, database, TWO_STEPS, 5)
        await log.until(lambda: log.done.count("end") == 2)
    assert log.done == [("one", 1), ("gated", 2), "end", ("one", 5), ("gated", 6), "end"]
    async with database.reading() as session:
        names = await session.scalars(sa.select(Organization.name))
        assert list(names) == ["yes"]


async def test_it_waits_for_its_delay(database: Database):
    log = Log()
    log.gate.set()
    async with working(database, log) as durable:
        began = time.monotonic()
        await enqueue(durable, database, TWO_STEPS, 1, delay_s=1)
        await log.until(lambda: "end" in log.done)
        assert time.monotonic() - began >= 1


async def test_what_was_claimed_is_begun_although_reading_it_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    # The library's own look comes too late, and would not find what is claimed.
    monkeypatch.setattr(durable_module, "POLL_S", 60.0)
    log = Log()
    log.gate.set()
    async with working(database, log) as durable:
        book = durable._dbos._sys_db  # pyright: ignore
        read, failures = book.get_workflow_statuses, [OSError("the database is away")]

        def fails_once(ids: list[str]) -> Any:
            if failures:
                raise failures.pop()
            return read(ids)

        monkeypatch.setattr(book, "get_workflow_statuses", fails_once)
        await enqueue(durable, database, TWO_STEPS, 1)
        await log.until(lambda: "end" in log.done)
    assert failures == []


async def test_a_step_is_tried_again(database: Database):
    log = Log()
    async with working(database, log) as durable:
        await enqueue(durable, database, RETRIED)
        await log.until(lambda: "end" in log.done)
    assert log.done == ["try", "try", "try", "end"]


async def test_no_more_at_once_than_the_queue_lets_and_none_is_left(database: Database):
    log = Log()
    async with working(database, log) as durable:
        async with database.writing() as session:
            for n in range(12):
                await durable.enqueue(session, CROWDED, n)
        await log.until(lambda: len(log.done) == 12, 30)
    assert sorted(log.done) == list(range(12))
    # One more may slip in while the look of the queue's own thread and ours meet.
    assert 1 < log.most_at_once <= 2 * 3


async def test_what_was_interrupted_goes_on_at_the_step_where_it_was(database: Database):
    before, after = Log(), Log()
    async with working(database, before) as durable:
        await enqueue(durable, database, TWO_STEPS, 1)
        async with asyncio.timeout(15):
            await before.at_gate.wait()
    after.gate.set()
    async with working(database, after):
        await after.until(lambda: "end" in after.done)
    assert before.done == [("one", 1)]
    assert after.done == [("gated", 2), "end"]


async def test_the_work_of_a_dead_process_is_taken_over(database: Database):
    before, after = Log(), Log()
    async with working(database, before, "dies") as durable:
        await enqueue(durable, database, TWO_STEPS, 1)
        async with asyncio.timeout(15):
            await before.at_gate.wait()
    assert before.done == [("one", 1)]
    after.gate.set()
    async with working(database, after, "lives") as durable:
        await asyncio.sleep(SEVERAL_POLLS_S)
        assert after.done == []
        await durable.take_over("dies")
        await durable.take_over("dies")
        await after.until(lambda: "end" in after.done)
        await asyncio.sleep(SEVERAL_POLLS_S)
    assert after.done == [("gated", 2), "end"]


async def test_what_was_enqueued_while_nobody_works_is_done_later(database: Database):
    log = Log()
    log.gate.set()
    sleeping = Durable(database.settings)
    await enqueue(sleeping, database, TWO_STEPS, 1)
    await sleeping.close()
    async with working(database, log):
        await log.until(lambda: "end" in log.done)


async def test_by_the_calendar(database: Database):
    log = Log()
    every_second = Periodic("hourly", "* * * * * *", hourly)
    async with working(database, log, periodic=(every_second,)):
        await log.until(lambda: log.done.count("tick") >= 2)
    # It is not in the list any more: nobody does it.
    quiet = Log()
    async with working(database, quiet):
        await asyncio.sleep(1 + SEVERAL_POLLS_S)  # it would be due once more
    assert quiet.done == []


async def test_what_was_done_is_forgotten_in_time(database: Database):
    log = Log()
    log.gate.set()
    table = "workflow_status" if database.settings.is_sqlite else "dbos.workflow_status"
    async with working(database, log) as durable:
        await enqueue(durable, database, TWO_STEPS, 1, id="done")
        await enqueue(durable, database, TWO_STEPS, 2, id="waits", delay_s=3600)
        await log.until(lambda: "end" in log.done)
        async with asyncio.timeout(10):
            while await durable.forget(utcnow() + timedelta(minutes=1)) == 0:
                await asyncio.sleep(0.05)  # the outcome is written after the last line has run
        assert await durable.forget(utcnow() + timedelta(minutes=1)) == 0
    async with database.reading() as session:
        left = await session.scalars(sa.text(f"SELECT workflow_uuid FROM {table}"))
        assert list(left) == ["waits"]


async def test_arguments_that_are_no_json_are_refused(database: Database):
    durable = Durable(database.settings)
    with pytest.raises(TypeError):
        await enqueue(durable, database, TWO_STEPS, object())
    await durable.close()


async def test_ids_are_given(database: Database):
    durable = Durable(database.settings)
    id = await enqueue(durable, database, TWO_STEPS, 1)
    assert id.startswith("two_steps:")
    uuid.UUID(id.removeprefix("two_steps:"))
    await durable.close()


async def test_a_step_waits_for_a_database_that_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    """Longer than any number of attempts would have lasted."""
    monkeypatch.setattr(work, "_WAIT_S", (0.01, 0.01))
    log = Log()

    async def away(log: Log) -> None:
        log.note("try")
        if len(log.done) < 30:
            raise sa.exc.OperationalError("SELECT 1", None, Exception("the server is gone"))

    async def waits(log: Log) -> None:
        await step(away, log, retries=Retries(attempts=1))
        log.note("end")

    workflow = Workflow("waits", waits, WORK)
    async with working(database, log, workflows=(workflow,)) as durable:
        await enqueue(durable, database, workflow)
        await log.until(lambda: "end" in log.done)
    assert log.done.count("try") == 30


async def test_work_goes_on_when_a_full_disk_has_room_again(tmp_path: Path):
    """On SQLite: what a step gave cannot be written down at first, then it can."""
    database = Database(settings_for(tmp_path))
    await migrations.upgrade(database)
    log = Log()

    async def long(log: Log) -> str:
        log.note("long")
        return "x" * 200_000

    async def keeps(log: Log) -> None:
        await step(long, log)
        log.note("end")

    workflow = Workflow("keeps", keeps, WORK)
    async with working(database, log, workflows=(workflow,)) as durable:
        most_pages = [1]
        engine = durable._engine  # pyright: ignore[reportPrivateUsage]
        assert engine is not None

        @sa.event.listens_for(engine, "checkout")
        def limit(connection: sqlite3.Connection, *_: object) -> None:
            # As low as 1 it is what the file has already.
            connection.execute(f"PRAGMA max_page_count = {most_pages[0]}")

        await enqueue(durable, database, workflow)
        await log.until(lambda: "long" in log.done)
        await asyncio.sleep(SEVERAL_POLLS_S)
        assert log.done == ["long"]
        most_pages[0] = 1_000_000
        await log.until(lambda: "end" in log.done)
    assert log.done == ["long", "end"]
    await database.close()
