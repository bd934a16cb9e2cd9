"""A server that is killed while a webhook is under way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.server import start
from tests.webhooks.conftest import Post, Receiver

from chorus.accounts.tables import Organization
from chorus.db import Database
from chorus.settings import Settings
from chorus.webhooks.due import LEASE_S

pytestmark = pytest.mark.timeout(400)


async def test_killed_between_announcement_and_answer(tmp_path: Path):
    arrived, over = asyncio.Event(), asyncio.Event()

    async def never() -> Any:
        arrived.set()
        await over.wait()
        yield b""

    async with Receiver(never) as receiver:
        env = {"CHORUS_ALLOW_PRIVATE_ADDRESSES": "1", "CHORUS_SECRET_KEY": "k" * 40}
        server = await asyncio.to_thread(start, tmp_path, **env)
        try:
            database = Database(Settings.read({**env, "CHORUS_DATA_DIR": str(tmp_path)}))
            async with database.reading() as session:
                organization_id = await session.scalar(sa.select(Organization.id))
            assert organization_id is not None
            post = Post(database, organization_id)
            await post.announced(await post.agent(receiver.url))
            async with asyncio.timeout(60):
                await arrived.wait()
            server.process.kill()
            server.process.wait()
            assert (await post.only()).status == "pending"
            server = await asyncio.to_thread(start, tmp_path, **env)
            # Not only when the lease of the lost try has run out.
            async with asyncio.timeout(LEASE_S / 2):
                while (await post.only()).status != "delivered":
                    await asyncio.sleep(0.1)
        finally:
            server.process.kill()
            server.process.wait()
            over.set()
        first, second = receiver.requests
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert [(tried.number, tried.status_code) for tried in await post.tries()] == [
            (1, None),
            (2, 200),
        ]
        await database.close()
