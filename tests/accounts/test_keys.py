"""API keys: made, looked up, ended; and who may reach what."""

from __future__ import annotations

import asyncio
import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import settings_for
from tests.fakes.api import KEY, Api, running

from chorus.accounts import keys
from chorus.accounts.bootstrap import bootstrap
from chorus.accounts.keys import KeyRing
from chorus.accounts.tables import ApiKey, Organization
from chorus.db import utcnow
from chorus.prepare import prepare
from chorus.readers import API_KEY_PATTERN


def test_a_new_key_has_the_promised_form():
    made = {keys.new_key() for _ in range(100)}
    assert len(made) == 100
    for key in made:
        assert re.fullmatch(r"sk_live_[A-Za-z0-9_-]{32,}", key)
        assert API_KEY_PATTERN.fullmatch(key)


async def test_only_the_hash_is_stored(api: Api):
    async with api.process.database.reading() as session:
        row = (await session.execute(sa.select(ApiKey.__table__))).one()
    assert KEY not in str(row)
    assert row.prefix == "sk_live_tttt"


async def test_both_prefixes_are_accepted(api: Api):
    client = await api.another_organization(key="chorus_" + "k" * 32)
    assert (await client.get("/v1/agents")).status_code == 200


async def test_a_revoked_key_ends_at_once(api: Api):
    database, organization_id = api.process.database, await api.organization_id()
    async with database.writing() as session:
        row, key = await keys.create(session, organization_id, "second")
    client = api.client_with(key)
    assert (await client.get("/v1/agents")).status_code == 200
    async with database.writing() as session:
        assert await keys.revoke(session, organization_id, row.id)
        assert not await keys.revoke(session, uuid.uuid4(), row.id)
    api.process.keys.forget(row.id)
    assert (await client.get("/v1/agents")).status_code == 401
    async with database.writing() as session:
        assert not await keys.revoke(session, organization_id, row.id)


async def test_one_revoked_elsewhere_ends_with_the_cache(sqlite_api: Api):
    now = 100.0
    ring = KeyRing(sqlite_api.process.database, lambda: now)
    assert await ring.principal(KEY) is not None
    async with sqlite_api.process.database.writing() as session:
        await session.execute(sa.update(ApiKey).values(revoked_at=utcnow()))
    assert await ring.principal(KEY) is not None
    now += keys.CACHE_S
    assert await ring.principal(KEY) is None


async def test_an_expired_key(api: Api):
    for expires_at, status in (
        (utcnow() + timedelta(hours=1), 200),
        (utcnow() - timedelta(seconds=1), 401),
    ):
        client = await api.another_organization(expires_at=expires_at)
        assert (await client.get("/v1/agents")).status_code == status


async def test_a_key_that_may_only_read(api: Api):
    client = await api.another_organization(scopes=("read",))
    assert (await client.get("/v1/agents")).status_code == 200
    for response in (
        await client.post("/v1/agents", json={"name": "a"}),
        await client.delete(f"/v1/agents/{uuid.uuid4()}"),
    ):
        assert response.status_code == 403
        assert response.json()["code"] == "forbidden"


async def test_last_use_is_written_down(api: Api):
    await api.get("/v1/agents")
    await api.process.keys.flush()
    async with api.process.database.reading() as session:
        row = (await session.scalars(sa.select(ApiKey))).one()
    assert row.last_used_at is not None
    assert utcnow() - row.last_used_at < timedelta(minutes=1)
    assert row.updated_at == row.created_at


async def test_the_first_start_makes_one_key(tmp_path: Path):
    settings = settings_for(tmp_path, bootstrap_api_key=None)
    key = await prepare(settings)
    assert key is not None
    assert await prepare(settings) is None
    async with running(settings) as api:
        assert (await api.client_with(key).get("/v1/agents")).status_code == 200


async def test_many_starts_at_once_make_one_key(api: Api):
    database, settings = api.process.database, api.process.settings
    async with database.writing() as session:
        await session.execute(sa.delete(Organization))
    made = await asyncio.gather(*(bootstrap(database, settings) for _ in range(5)))
    assert sorted(made, key=str) == [None] * 4 + [KEY]


RESOURCES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/agents", {"name": "a"}),
    ("/v1/tools", {"name": "t", "description": "d", "config": {"url": "https://a.example"}}),
    (
        "/v1/phone-numbers",
        {"number": "+14155551234", "twilioAccountSid": "AC", "twilioAuthToken": "t"},
    ),
]


@pytest.mark.parametrize(("path", "body"), RESOURCES)
async def test_nobody_reaches_what_is_anothers(api: Api, path: str, body: dict[str, Any]):
    made = await api.made(path, body)
    one = f"{path}/{made['id']}"
    stranger = await api.another_organization()
    for response in (
        await stranger.get(one),
        await stranger.patch(one, json={}),
        await stranger.patch(one, json={"name": "mine now"}),
        await stranger.delete(one),
    ):
        assert response.status_code == 404
    assert (await stranger.get(path)).json()["data"] == []
    assert (await stranger.get(f"{path}?search=a")).json()["pagination"]["total"] == 0
    assert (await api.get(one)).json()["data"] == made


async def test_nobody_reaches_anothers_calls(api: Api):
    agent = await api.made("/v1/agents", {"name": "a"})
    number = await api.made(*RESOURCES[2])
    wish = {"agentId": agent["id"], "phoneNumberId": number["id"], "to": "+14155550000"}
    call = await api.made("/v1/calls", wish)
    stranger = await api.another_organization()
    for suffix in ("", "/events", "/recording"):
        assert (await stranger.get(f"/v1/calls/{call['id']}{suffix}")).status_code == 404
    assert (await stranger.get("/v1/calls")).json()["data"] == []
    assert (await stranger.get("/v1/calls?search=a")).json()["data"] == []
    assert (await stranger.post("/v1/calls", json=wish)).status_code == 404
    own = (await stranger.post("/v1/agents", json={"name": "b"})).json()["data"]["id"]
    mixed = await stranger.post("/v1/calls", json={**wish, "agentId": own})
    assert mixed.json()["error"] == "Phone number not found"
