"""A password is hashed before the transaction that stores it begins."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.accounts.people import QUICK, browser, member, prepared
from tests.fakes.api import Api


async def test_nobody_waits_for_a_hash_to_write(sqlite_api: Api):
    prepared(sqlite_api)
    owner = await browser(
        sqlite_api, await member(sqlite_api.process, await sqlite_api.organization_id(), "owner")
    )
    hashing, go_on = asyncio.Event(), asyncio.Event()

    async def slow(password: str, **_: Any) -> str:
        hashing.set()
        await go_on.wait()
        return QUICK.hash(password)

    sqlite_api.process.passwords.hash = slow  # type: ignore[method-assign]
    body = {"email": "new@example.com", "role": "viewer", "password": "a long enough one, really"}
    adding = asyncio.create_task(owner.post("/v1/members", json=body))
    await hashing.wait()
    async with asyncio.timeout(20):
        assert (await sqlite_api.post("/v1/agents", json={"name": "a"})).status_code == 201
    go_on.set()
    assert (await adding).status_code == 201
