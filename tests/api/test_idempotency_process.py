"""Idempotency-Key against a real server: requests that meet, and one that is killed in between."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.fakes.server import Server, start

from chorus.accounts.tables import IdempotentRequest
from chorus.db import Database, utcnow
from chorus.settings import Settings

BODY = {"name": "An agent"}


def serve(folder: Path, database_url: str) -> tuple[Server, Path]:
    """A server whose agents are made slowly, and the file by which they wait."""
    waits = folder / "waits"
    url = database_url.replace("+psycopg", "").replace("+aiosqlite", "")
    env = {"AGENTS_WAIT_FOR": str(waits), "CHORUS_DATABASE_URL": url}
    return start(folder, module="tests.api.slow_server", **env), waits


def until_there(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def agents(client: httpx.Client) -> int:
    return client.get("/v1/agents").json()["pagination"]["total"]


def make(client: httpx.Client, key: str) -> httpx.Response:
    return client.post("/v1/agents", json=BODY, headers={"Idempotency-Key": key})


async def grow_old(database_url: str) -> None:
    """As if a minute had passed."""
    database = Database(Settings.read({"CHORUS_DATABASE_URL": database_url}))
    async with database.writing() as session:
        await session.execute(
            sa.update(IdempotentRequest).values(created_at=utcnow() - timedelta(seconds=61))
        )
    await database.close()


@pytest.fixture
def plain_url(database_url: str) -> str:
    return database_url.replace("+psycopg", "").replace("+aiosqlite", "")


def test_two_that_meet_and_one_that_is_killed_in_between(tmp_path: Path, plain_url: str):
    server, waits = serve(tmp_path, plain_url)
    try:
        with server.client() as client, ThreadPoolExecutor() as threads:
            made = meet(client, threads, waits, one_writer=plain_url.startswith("sqlite"))
            cut_off = threads.submit(make, client, "twice")
            until_there(waits)
            server.process.kill()
            server.process.wait()
            with pytest.raises(httpx.TransportError):
                cut_off.result()
        waits.unlink()
        server, waits = serve(tmp_path, plain_url)
        with server.client() as client, ThreadPoolExecutor() as threads:
            assert make(client, "once").content == made.content
            assert agents(client) == 1
            soon = make(client, "twice")
            assert (soon.status_code, soon.json()["code"]) == (409, "idempotency_in_progress")
            asyncio.run(grow_old(plain_url))
            taken_over = threads.submit(make, client, "twice")
            until_there(waits)
            waits.unlink()
            late = taken_over.result()
            assert late.status_code == 201
            assert "Idempotency-Replayed" not in late.headers
            assert make(client, "twice").content == late.content
            assert agents(client) == 2
    finally:
        server.process.kill()
        server.process.wait()


def meet(
    client: httpx.Client, threads: ThreadPoolExecutor, waits: Path, *, one_writer: bool
) -> httpx.Response:
    """The same request twice, the second while the first is under way; what the first gets."""
    first = threads.submit(make, client, "once")
    until_there(waits)
    second = threads.submit(make, client, "once")
    if not one_writer:
        met = second.result()
        assert (met.status_code, met.json()["code"]) == (409, "idempotency_in_progress")
    waits.unlink()
    made = first.result()
    assert made.status_code == 201
    if one_writer:
        # SQLite has one: the second has waited, and finds the first's answer.
        assert second.result().content == made.content
    assert make(client, "once").content == made.content
    assert agents(client) == 1
    return made
