"""News between processes: two of them on one PostgreSQL, and what SQLite's one process needs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import running

from chorus import news
from chorus.accounts import keys, ring
from chorus.db import Database
from chorus.news import News, Topic
from chorus.settings import Settings


class Process:
    def __init__(self, folder: Path, url: str) -> None:
        self.database = Database(settings_for(folder, database_url=url))
        self.news = News(self.database)
        self.listening = asyncio.create_task(self.news.run())

    async def tell(self, topic: Topic, *, fail: bool = False) -> None:
        async with self.database.writing() as session:
            await self.news.tell(session, topic)
            if fail:
                raise LookupError

    async def heard(self, topic: Topic) -> None:
        async with asyncio.timeout(20):
            await self.news.events[topic].wait()
        self.news.events[topic].clear()

    async def arrives(self) -> None:
        async with asyncio.timeout(20):
            while not self.news.arrives:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def processes(folder: Path, url: str, count: int) -> AsyncGenerator[list[Process]]:
    made = [Process(folder, url) for _ in range(count)]
    try:
        yield made
    finally:
        for process in made:
            process.listening.cancel()
        await asyncio.gather(*(p.listening for p in made), return_exceptions=True)
        for process in made:
            await process.database.close()


@pytest.fixture
def shared_url(postgres_url: str) -> str:
    """A Postgres for all processes of a test, as settings hold its address."""
    return Settings.read({"CHORUS_DATABASE_URL": postgres_url}).database_url


async def test_in_one_process_it_is_told_with_the_commit(tmp_path: Path):
    async with processes(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'x.db'}", 1) as [one]:
        assert one.news.arrives
        with pytest.raises(LookupError):
            await one.tell("commands", fail=True)
        assert not one.news.events["commands"].is_set()
        async with one.database.writing() as session:
            await one.news.tell(session, "commands")
            assert not one.news.events["commands"].is_set()
        assert one.news.events["commands"].is_set()
        assert not one.news.events["events"].is_set()


async def test_other_processes_hear_of_what_was_committed(
    tmp_path: Path, shared_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(news, "RETRY_S", 0.05)
    async with processes(tmp_path, shared_url, 2) as [one, two]:
        await asyncio.gather(one.arrives(), two.arrives())
        for event in two.news.events.values():
            event.clear()  # set when it began to listen: something may have been missed
        await one.tell("commands")
        await two.heard("commands")
        with pytest.raises(LookupError):
            await one.tell("webhooks", fail=True)
        await one.tell("events")
        await two.heard("events")  # in their order, so the other was not told
        assert not two.news.events["webhooks"].is_set()

        # The connection dies: it listens again, and looks for what it has missed.
        async with one.database.writing() as session:
            await session.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database()"
                    " AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')"
                )
            )
        await two.heard("commands")
        await asyncio.gather(one.arrives(), two.arrives())
        two.news.events["commands"].clear()
        await one.tell("commands")
        await two.heard("commands")


async def test_a_key_that_one_process_revokes_is_refused_by_the_other(
    tmp_path: Path, shared_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ring, "CACHE_S", 3600.0)  # so that nothing but the news is in time
    settings = settings_for(tmp_path, database_url=shared_url)
    async with running(settings) as one, running(settings) as two:
        async with asyncio.timeout(20):
            while not two.app.state.switchboard.news.arrives:
                await asyncio.sleep(0.02)
        made = await one.made("/v1/api-keys", {"name": "short-lived", "scopes": ["read"]})
        async with two.client_with(made["key"]) as theirs:
            assert (await theirs.get("/v1/agents")).status_code == 200
            assert (await theirs.get("/v1/agents")).status_code == 200
            assert (await one.delete(f"/v1/api-keys/{made['id']}")).status_code == 200
            assert await refused(theirs)

        # A command has no process to forget it in.
        made = await one.made("/v1/api-keys", {"name": "another", "scopes": ["read"]})
        async with two.client_with(made["key"]) as theirs:
            assert (await theirs.get("/v1/agents")).status_code == 200
            async with one.process.database.writing() as session:
                organization_id = await one.organization_id()
                assert await keys.revoke(session, organization_id, uuid.UUID(made["id"]))
            assert await refused(theirs)


async def refused(http: httpx.AsyncClient) -> bool:
    async with asyncio.timeout(20):
        while (await http.get("/v1/agents")).status_code != 401:
            await asyncio.sleep(0.02)
    return True
